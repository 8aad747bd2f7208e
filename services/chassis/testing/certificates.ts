import { webcrypto } from "node:crypto";
import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { IdentityFiles } from "#chassis/tls/identity.ts";

/** What is in one set of PEM files. */
export interface IssuedIdentity {
  readonly certificate: string;
  readonly key: string;
}

export interface IssueOptions {
  /** Host names and IP addresses. Default: localhost, 127.0.0.1, ::1. */
  readonly names?: readonly string[];
  /** Default: in an hour. */
  readonly notAfter?: Date;
}

/** An authority for one test. */
export interface TestAuthority {
  /** Its own certificate in PEM. */
  readonly certificate: string;
  issue(options?: IssueOptions): Promise<IssuedIdentity>;
}

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const hourMs = 3_600_000;

export async function createAuthority(name: string): Promise<TestAuthority> {
  const x509 = await loadLibrary();
  const { digitalSignature, cRLSign, keyCertSign } = x509.KeyUsageFlags;
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const subject = `CN=${name}`;
  const own = await x509.X509CertificateGenerator.createSelfSigned({
    name: subject,
    ...validity(),
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(keyCertSign | cRLSign, true),
    ],
  });
  return {
    certificate: own.toString("pem"),
    async issue({ names = ["localhost", "127.0.0.1", "::1"], notAfter } = {}) {
      const leaf = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
      const certificate = await x509.X509CertificateGenerator.create({
        subject: `CN=${names[0] ?? "nobody"}`,
        issuer: subject,
        ...validity(notAfter),
        publicKey: leaf.publicKey,
        signingKey: keys.privateKey,
        signingAlgorithm: algorithm,
        extensions: [
          new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
          new x509.KeyUsagesExtension(digitalSignature, true),
          new x509.SubjectAlternativeNameExtension(
            names.map((value) => ({ type: /^[\d.]+$|:/.test(value) ? "ip" : "dns", value })),
          ),
        ],
      });
      const key = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", leaf.privateKey));
      return {
        certificate: certificate.toString("pem"),
        key: `-----BEGIN PRIVATE KEY-----\n${key.toString("base64").replace(/.{64}/g, "$&\n")}\n-----END PRIVATE KEY-----\n`,
      };
    },
  };
}

/** Writes the files of an identity into a folder, each in one step, and returns where they are. */
export async function writeIdentity(
  folder: string,
  { certificate, key }: IssuedIdentity,
  authorities: readonly TestAuthority[],
): Promise<IdentityFiles> {
  const paths = {
    certificate: join(folder, "tls.crt"),
    key: join(folder, "tls.key"),
    authorities: join(folder, "ca.crt"),
  };
  await replace(paths.certificate, certificate);
  await replace(paths.key, key);
  await replace(paths.authorities, authorities.map((authority) => authority.certificate).join("\n"));
  return paths;
}

async function replace(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text);
  await rename(`${path}.new`, path);
}

function validity(notAfter = new Date(Date.now() + hourMs)) {
  return { notBefore: new Date(Math.min(Date.now(), notAfter.getTime()) - hourMs), notAfter };
}

/** The library refuses to load without the API of decorators' metadata, of which it needs nothing but that it is there. */
function loadLibrary() {
  if (!("getMetadata" in Reflect)) {
    const none = () => undefined;
    Object.assign(Reflect, { getMetadata: none, getOwnMetadata: none, defineMetadata: none });
  }
  return import("@peculiar/x509");
}
