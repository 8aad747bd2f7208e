import { createHash, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createSecureContext, type SecureContext, type SecureContextOptions } from "node:tls";
import { errorText } from "../log.ts";
import { Secret } from "../secret.ts";

/** Paths of PEM files: who this process is to its peers, and who may vouch for them. */
export interface IdentityFiles {
  /** The certificate, followed by intermediate ones where there are any. */
  readonly certificate: string;
  readonly key: string;
  /** One authority or several: during a change of the authority, the old one and the new one. */
  readonly authorities: string;
}

/** The content of the files, read together. */
export interface IdentityTexts {
  readonly certificate: string;
  readonly key: Secret;
  readonly authorities: string;
  /** Equal for equal contents. */
  readonly digest: string;
}

/** A certificate, its key and the trusted authorities, which have been seen to fit together. */
export interface Identity {
  readonly digest: string;
  /** When the certificate ends. */
  readonly validTo: Date;
  /** What opens a TLS connection, or accepts one. */
  readonly context: SecureContext;
  /** What `context` was made of, for a server that changes it. */
  options(): SecureContextOptions;
}

const pemCertificate = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** Rejects with the file system's error where a file cannot be read. */
export async function readIdentityTexts(files: IdentityFiles): Promise<IdentityTexts> {
  const paths = [files.certificate, files.key, files.authorities];
  const [certificate = "", key = "", authorities = ""] = await Promise.all(paths.map((path) => readFile(path, "utf8")));
  const digest = createHash("sha256")
    .update(JSON.stringify([certificate, key, authorities]))
    .digest("hex");
  return { certificate, key: new Secret(key), authorities, digest };
}

/** Throws an error that says which of the texts is no good, and nothing of the key. */
export function createIdentity({ certificate, key, authorities, digest }: IdentityTexts): Identity {
  const [own] = parse(certificate, "the certificate");
  if (own === undefined) throw new Error("the file of the certificate holds none in PEM");
  if (parse(authorities, "an authority").length === 0) throw new Error("the file of the authorities holds none in PEM");
  const options = (): SecureContextOptions => ({
    cert: certificate,
    key: key.reveal(),
    ca: authorities,
    minVersion: "TLSv1.2",
  });
  return { digest, validTo: new Date(own.validTo), context: contextOf(options), options };
}

function parse(text: string, what: string): X509Certificate[] {
  try {
    return (text.match(pemCertificate) ?? []).map((pem) => new X509Certificate(pem));
  } catch (error) {
    throw new Error(`${what} cannot be read: ${errorText(error)}`);
  }
}

function contextOf(options: () => SecureContextOptions): SecureContext {
  try {
    return createSecureContext(options());
  } catch (error) {
    const mismatch = error instanceof Error && "code" in error && error.code === "ERR_OSSL_X509_KEY_VALUES_MISMATCH";
    throw new Error(mismatch ? "the key is not the certificate's" : `the key cannot be used: ${errorText(error)}`);
  }
}
