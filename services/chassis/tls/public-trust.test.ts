import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { getCACertificates } from "node:tls";
import { createAuthority } from "../testing/certificates.ts";
import { readAuthorities, trustAuthorities, verifiesCertificates } from "./public-trust.ts";

const folder = await mkdtemp(join(tmpdir(), "sluice-trust-"));
after(() => rm(folder, { recursive: true }));
const [one, other] = [await createAuthority("one"), await createAuthority("other")];
const file = join(folder, "both.pem");
await writeFile(file, `${one.certificate}\n${other.certificate}\n`);

test("certificates are checked unless SSL_VERIFY is false", () => {
  for (const value of [undefined, "", "true", "True", "0", file]) {
    assert.equal(verifiesCertificates({ SSL_VERIFY: value }), true, value);
  }
  for (const value of ["false", "False"]) assert.equal(verifiesCertificates({ SSL_VERIFY: value }), false);
});

test("authorities come from the file that is named", () => {
  for (const env of [{ SSL_VERIFY: file }, { SSL_CERT_FILE: file }, { SSL_VERIFY: "false", SSL_CERT_FILE: file }]) {
    assert.match(readAuthorities(env) ?? "", /BEGIN CERTIFICATE[\s\S]*BEGIN CERTIFICATE/);
  }
  for (const env of [{}, { SSL_VERIFY: "true" }, { SSL_CERT_FILE: "" }]) assert.equal(readAuthorities(env), undefined);
  for (const name of ["SSL_VERIFY", "SSL_CERT_FILE"]) {
    assert.throws(() => readAuthorities({ [name]: join(folder, "missing") }), new RegExp(`: ${name} must name a file`));
    assert.throws(() => readAuthorities({ [name]: import.meta.filename }), new RegExp(`: ${name} must name a file`));
  }
});

test("each of a file's authorities is trusted beside those that were", () => {
  const trusted = () => new Set(getCACertificates().map(fingerprint));
  const before = trusted();
  trustAuthorities(undefined);
  trustAuthorities(readAuthorities({ SSL_CERT_FILE: file }));
  const added = [one, other].map(({ certificate }) => fingerprint(certificate));
  assert.deepEqual(trusted(), new Set([...before, ...added]));
});

function fingerprint(pem: string): string {
  return new X509Certificate(pem).fingerprint256;
}
