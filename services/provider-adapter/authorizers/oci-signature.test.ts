import { rejects, strictEqual } from "node:assert/strict";
import { createHash, createVerify, generateKeyPairSync } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Secret } from "#chassis/secret.ts";
import type { UpstreamRequest } from "../provider.ts";
import { providerCall } from "../translate/testing/provider-call.ts";
import { createOciSignature } from "./oci-signature.ts";

const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const pem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
const owner = { oci_user: "u", oci_fingerprint: "f", oci_tenancy: "t" };
const body = Buffer.from('{"a":1}');
const request: UpstreamRequest = {
  method: "POST",
  url: "https://inference.test/20231130/actions/chat?x=1",
  headers: { "content-type": "application/json" },
  body,
};
const never = new AbortController().signal;
const authorize = createOciSignature(() => Date.UTC(2026, 0, 2, 3, 4, 5));
const signed = async (key: object) =>
  authorize(providerCall({}, { credential: new Secret(JSON.stringify({ ...owner, ...key })) }), request, never);

test("the signature covers the request and holds under the public key", async () => {
  const { headers } = await signed({ oci_key: pem });
  strictEqual(headers.date, "Fri, 02 Jan 2026 03:04:05 GMT");
  const digest = createHash("sha256").update(body).digest("base64");
  strictEqual(headers["x-content-sha256"], digest);
  const text = [
    "date: Fri, 02 Jan 2026 03:04:05 GMT",
    "(request-target): post /20231130/actions/chat?x=1",
    "host: inference.test",
    "content-length: 7",
    "content-type: application/json",
    `x-content-sha256: ${digest}`,
  ].join("\n");
  const [, head = "", signature = ""] = /^(.*),signature="(.*)"$/.exec(headers.authorization ?? "") ?? [];
  strictEqual(
    head,
    'Signature version="1",keyId="t/u/f",algorithm="rsa-sha256",headers="date (request-target) host content-length content-type x-content-sha256"',
  );
  strictEqual(createVerify("RSA-SHA256").update(text).verify(publicKey, signature, "base64"), true);
});

test("a key may lie in a file, or have its line breaks spelled out", async () => {
  const folder = await mkdtemp(join(tmpdir(), "oci-"));
  try {
    const file = join(folder, "key.pem");
    await writeFile(file, pem);
    const [inline, spelled, filed] = await Promise.all([
      signed({ oci_key: pem }),
      signed({ oci_key: pem.replaceAll("\n", "\\n") }),
      signed({ oci_key_file: file }),
    ]);
    strictEqual(spelled.headers.authorization, inline.headers.authorization);
    strictEqual(filed.headers.authorization, inline.headers.authorization);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("a key that is none is an error without the key in it; no credential needs no signature", async () => {
  await rejects(signed({ oci_key: "SECRET" }), (error: Error) => !error.message.includes("SECRET"));
  await rejects(signed({ oci_key_file: "/no/such/file" }), /oci_key_file/);
  strictEqual(await authorize(providerCall({}, { credential: undefined }), request, never), request);
});
