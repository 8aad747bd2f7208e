import { createHash, createHmac } from "node:crypto";
import type { Authorizer } from "../authorize.ts";
import { type AwsKeys, readAwsCredential } from "../aws-credential.ts";
import type { AwsScope, UpstreamRequest } from "../provider.ts";

const algorithm = "AWS4-HMAC-SHA256";

/** The parts of a request that its signature covers. */
export interface SignedRequest {
  readonly method: string;
  readonly url: URL;
  /** Lower-case names; all of them are signed. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/**
 * Signs requests with AWS' Signature Version 4, https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html. A
 * request without a scope passes as it is. Signed are the host, the content type, the date and the session token. `now` is
 * the time in milliseconds since 1970.
 */
export function createAwsSigV4(now: () => number): Authorizer {
  const signingKeyOf = createSigningKeys();
  return (call, request) => {
    const { keys } = readAwsCredential(call.credential);
    const url = URL.parse(request.url);
    // An address that is none is the upstream client's to refuse.
    if (request.awsScope === undefined || keys === undefined || url === null) return request;
    const date = amzDate(now());
    const signed = signedHeaders(request, url, keys, date);
    const key = signingKeyOf(keys.secretAccessKey, date.slice(0, 8), request.awsScope);
    const covered = { method: request.method, url, headers: signed, body: request.body };
    const authorization = authorizationHeader(covered, keys.accessKeyId, request.awsScope, date, key);
    const { host: _, ...added } = signed;
    return { ...request, headers: { ...request.headers, ...added, authorization } };
  };
}

/** `20251117T063822Z`. */
function amzDate(ms: number): string {
  return new Date(ms).toISOString().replace(/[-:]|\.\d{3}/g, "");
}

function signedHeaders(request: UpstreamRequest, url: URL, keys: AwsKeys, date: string): Record<string, string> {
  const headers: Record<string, string> = { host: url.host, "x-amz-date": date };
  const type = request.headers["content-type"];
  if (type !== undefined) headers["content-type"] = type;
  if (keys.sessionToken !== "") headers["x-amz-security-token"] = keys.sessionToken;
  return headers;
}

/** The value of `authorization` for a request that carries `x-amz-date` with this date. */
export function authorizationHeader(
  request: SignedRequest,
  accessKeyId: string,
  { region, service }: AwsScope,
  date: string,
  signingKey: Buffer,
): string {
  const names = Object.keys(request.headers).sort();
  const headers = names.map((name) => `${name}:${request.headers[name]?.trim().replace(/\s+/g, " ")}\n`);
  const signedNames = names.join(";");
  const canonical = [
    request.method,
    canonicalPath(request.url),
    canonicalQuery(request.url),
    headers.join(""),
    signedNames,
    sha256(request.body),
  ].join("\n");
  const scope = `${date.slice(0, 8)}/${region}/${service}/aws4_request`;
  const toSign = [algorithm, date, scope, sha256(canonical)].join("\n");
  const signature = createHmac("sha256", signingKey).update(toSign).digest("hex");
  return `${algorithm} Credential=${accessKeyId}/${scope}, SignedHeaders=${signedNames}, Signature=${signature}`;
}

/** Every service but S3 wants the path, which is encoded already, encoded once more. */
function canonicalPath({ pathname }: URL): string {
  return pathname.split("/").map(encode).join("/");
}

function canonicalQuery({ searchParams }: URL): string {
  const pairs = [...searchParams].map(([name, value]) => `${encode(name)}=${encode(value)}`);
  return pairs.sort().join("&");
}

/** Everything but letters, digits, `-`, `.`, `_` and `~`. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}

function sha256(data: Uint8Array | string): string {
  return createHash("sha256").update(data).digest("hex");
}

/** The key that signs for one day, region and service. */
export function signingKey(secretAccessKey: string, day: string, { region, service }: AwsScope): Buffer {
  const hmac = (key: Buffer | string, text: string) => createHmac("sha256", key).update(text).digest();
  return hmac(hmac(hmac(hmac(`AWS4${secretAccessKey}`, day), region), service), "aws4_request");
}

const maxKeys = 100;

/** Signing keys are kept, by everything they depend on; at most 100, the oldest go first. */
function createSigningKeys(): typeof signingKey {
  const known = new Map<string, Buffer>();
  return (secretAccessKey, day, scope) => {
    const id = sha256(JSON.stringify([secretAccessKey, day, scope.region, scope.service]));
    const kept = known.get(id);
    if (kept !== undefined) return kept;
    const made = signingKey(secretAccessKey, day, scope);
    const [oldest] = known.keys();
    if (known.size >= maxKeys && oldest !== undefined) known.delete(oldest);
    known.set(id, made);
    return made;
  };
}
