import { createHash, createPrivateKey, createSign, type KeyObject } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { Authorizer } from "../authorize.ts";
import { type OciCredential, readOciCredential } from "../oci-credential.ts";
import type { UpstreamRequest } from "../provider.ts";
import { refusedCredential } from "./token-server.ts";

const signedNames = ["date", "(request-target)", "host", "content-length", "content-type", "x-content-sha256"];
const maxKeys = 100;
/** How long a key is kept before its file is read again. */
const keptMs = 5 * 60 * 1000;

/**
 * Signs requests with a user's API signing key, https://docs.oracle.com/en-us/iaas/Content/API/Concepts/signingrequests.htm
 * (RSA-SHA256 after draft-cavage-http-signatures-08). A request without such a credential passes as it is. `now` is the
 * time in milliseconds since 1970.
 */
export function createOciSignature(now: () => number): Authorizer {
  const privateKeyOf = createPrivateKeys(now);
  return async (call, request, signal) => {
    const credential = readOciCredential(call.credential);
    const url = URL.parse(request.url);
    // An address that is none is the upstream client's to refuse.
    if (credential === undefined || url === null) return request;
    const key = await privateKeyOf(credential);
    signal.throwIfAborted();
    return signedRequest(request, url, credential.keyId, key, new Date(now()).toUTCString());
  };
}

function signedRequest(
  request: UpstreamRequest,
  url: URL,
  keyId: string,
  key: KeyObject,
  date: string,
): UpstreamRequest {
  const digest = createHash("sha256").update(request.body).digest("base64");
  const values: Readonly<Record<string, string>> = {
    date,
    "(request-target)": `${request.method.toLowerCase()} ${url.pathname}${url.search}`,
    host: url.host,
    "content-length": String(request.body.length),
    "content-type": request.headers["content-type"] ?? "application/json",
    "x-content-sha256": digest,
  };
  const toSign = signedNames.map((name) => `${name}: ${values[name]}`).join("\n");
  const signature = createSign("RSA-SHA256").update(toSign).sign(key, "base64");
  const authorization = `Signature version="1",keyId="${keyId}",algorithm="rsa-sha256",headers="${signedNames.join(" ")}",signature="${signature}"`;
  return { ...request, headers: { ...request.headers, date, "x-content-sha256": digest, authorization } };
}

/** Parsed keys are kept for five minutes, by their text or their file; at most 100, the oldest go first. */
function createPrivateKeys(now: () => number): (credential: OciCredential) => Promise<KeyObject> {
  const known = new Map<string, { readonly key: KeyObject; readonly until: number }>();
  return async ({ key, keyFile }) => {
    const id = createHash("sha256")
      .update(JSON.stringify([key, keyFile]))
      .digest("hex");
    const kept = known.get(id);
    if (kept !== undefined && now() < kept.until) return kept.key;
    const parsed = parseKey(key === "" ? await readFile(keyFile, "utf8").catch(() => "") : key);
    known.delete(id);
    const [oldest] = known.keys();
    if (known.size >= maxKeys && oldest !== undefined) known.delete(oldest);
    known.set(id, { key: parsed, until: now() + keptMs });
    return parsed;
  };
}

function parseKey(pem: string): KeyObject {
  try {
    const key = createPrivateKey(pem);
    if (key.asymmetricKeyType === "rsa") return key;
  } catch {
    // The reason may hold parts of the key.
  }
  throw refusedCredential("oci", "oci_key is no RSA private key in PEM, and oci_key_file no file that holds one");
}
