import { createHash, createHmac, type Hash, type Hmac } from "node:crypto";
import type { Authorizer } from "../authorize.ts";
import { type AwsKeysOf, createAwsKeys } from "./aws-keys.ts";

/**
 * Signs requests with AWS' Signature Version 4, https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html. A
 * request without a scope passes as it is. Signed are the host, the content type, the date and the session token. `now` is
 * the time in milliseconds since 1970.
 */
export function createAwsSigV4(now: () => number, keysOf: AwsKeysOf = createAwsKeys(now)): Authorizer {
  return async (call, request, signal) => {
    const scope = request.awsScope;
    const url = URL.parse(request.url);
    // An address that is none is the upstream client's to refuse.
    if (scope === undefined || url === null) return request;
    const credentials = await keysOf(call, scope, signal);
    const { SignatureV4 } = await import("@smithy/signature-v4");
    const signer = new SignatureV4({ ...scope, credentials, sha256: Sha256, applyChecksum: false });
    const headers: Record<string, string> = { host: url.host };
    const type = request.headers["content-type"];
    if (type !== undefined) headers["content-type"] = type;
    const signable = {
      method: request.method,
      protocol: url.protocol,
      hostname: url.hostname,
      path: url.pathname,
      query: Object.fromEntries(url.searchParams),
      headers,
      body: request.body,
    };
    const signed = await signer.sign(signable, { signingDate: new Date(now()) });
    const { host: _, ...added } = signed.headers;
    return { ...request, headers: { ...request.headers, ...added } };
  };
}

type Data = string | ArrayBuffer | ArrayBufferView;

/** SHA-256 of Node, with a secret or without, in the form that the signer wants. */
class Sha256 {
  readonly #hash: Hash | Hmac;

  constructor(secret?: Data) {
    this.#hash = secret === undefined ? createHash("sha256") : createHmac("sha256", bytesOf(secret));
  }

  update(data: Data): void {
    this.#hash.update(bytesOf(data));
  }

  async digest(): Promise<Uint8Array> {
    return this.#hash.digest();
  }
}

function bytesOf(data: Data): Uint8Array {
  if (typeof data === "string") return Buffer.from(data);
  return ArrayBuffer.isView(data)
    ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    : new Uint8Array(data);
}
