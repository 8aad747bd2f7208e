import type { Secret } from "#chassis/secret.ts";
import { secretTexts } from "./failure.ts";
import type { UpstreamRequest } from "./provider.ts";

const mask = "*****";

/** Headers that never hold a secret. Every other one may: a deployment can send any header it likes. */
const openHeaders = new Set([
  "accept",
  "anthropic-beta",
  "anthropic-version",
  "content-type",
  "openai-beta",
  "user-agent",
]);

/** Parameters of an address that never hold a secret. */
const openParameters = new Set(["alt", "api-version", "encoding_format"]);

/** A request as a person may see it: what is a credential, or may be one, is masked. */
export function maskedRequest(request: UpstreamRequest, credential: Secret | undefined): UpstreamRequest {
  const secrets = secretTexts(credential).filter((secret) => secret.length >= 8);
  const scrub = (text: string) => secrets.reduce((scrubbed, secret) => scrubbed.replaceAll(secret, mask), text);
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.headers)) {
    headers[name] = openHeaders.has(name.toLowerCase()) ? scrub(value) : mask;
  }
  const body = Buffer.from(request.body).toString();
  const scrubbed = scrub(body);
  return {
    method: request.method,
    url: scrub(maskedAddress(request.url)),
    headers,
    body: scrubbed === body ? request.body : Buffer.from(scrubbed),
  };
}

/** An address may carry a password before its host, or a key among its parameters. */
function maskedAddress(text: string): string {
  if (!URL.canParse(text)) return mask;
  const url = new URL(text);
  if (url.username === "" && url.password === "" && url.search === "") return text;
  if (url.username !== "") url.username = mask;
  if (url.password !== "") url.password = mask;
  for (const name of [...url.searchParams.keys()]) {
    if (!openParameters.has(name.toLowerCase())) url.searchParams.set(name, mask);
  }
  return url.href;
}
