import type { UpstreamErrorInit } from "#chassis/errors.ts";
import { UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import type { JsonObject } from "../../provider.ts";
import { decodeText, isObject, objectOf, parseObject, textOf } from "../../translate/json-reading.ts";
import { retryAfterMsOf } from "../retry-after.ts";
import { kindOfStatus } from "../status-kind.ts";

export const providerId = "anthropic";

/** The HTTP status of every `error.type`. https://platform.claude.com/docs/en/api/errors */
const statusOfType: Readonly<Record<string, number>> = {
  invalid_request_error: 400,
  authentication_error: 401,
  billing_error: 402,
  permission_error: 403,
  not_found_error: 404,
  conflict_error: 409,
  request_too_large: 413,
  rate_limit_error: 429,
  api_error: 500,
  timeout_error: 504,
  overloaded_error: 529,
};

const kinds: Readonly<Record<number, UpstreamErrorKind>> = {
  ...kindOfStatus,
  529: UpstreamErrorKind.UNAVAILABLE,
};

/** What the text of a 400 tells beyond its status; the phrases are Anthropic's. */
const phrases: readonly (readonly [RegExp, UpstreamErrorKind])[] = [
  [/prompt is too long|exceed(?:s|ed)? (?:the )?context (?:limit|window)/i, UpstreamErrorKind.CONTEXT_WINDOW],
  [/content filtering policy/i, UpstreamErrorKind.CONTENT_POLICY],
];

type Headers = Readonly<Record<string, string>>;

/** Reads a failed answer: `{"type":"error","error":{"type","message"},"request_id"}`, or whatever a proxy sent. */
export function classifyError(status: number, headers: Headers, body: Uint8Array): UpstreamErrorInit {
  const text = scrub(decodeText(body));
  const error = objectOf(parseObject(text)?.error);
  const message = textOf(error.message) || `Anthropic answered ${status}`;
  const retryAfterMs = retryAfterMsOf(headers);
  return {
    kind: kindOf(status, message),
    httpStatus: status,
    provider: providerId,
    retryable: isRetryable(status, headers),
    message,
    code: textOf(error.type),
    type: textOf(error.type),
    body: Buffer.from(text),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  };
}

/** Reads an error that came in the body of a 2xx answer or as an event of a stream. */
export function classifyErrorObject(envelope: JsonObject): UpstreamErrorInit {
  const error = isObject(envelope.error) ? envelope.error : envelope;
  const type = textOf(error.type);
  const status = statusOfType[type] ?? 500;
  return classifyError(status, {}, Buffer.from(JSON.stringify(envelope)));
}

/** An answer that is not what the protocol says: worth another try, because a healthy upstream would not send it. */
export function brokenAnswer(message: string): UpstreamErrorInit {
  return {
    kind: UpstreamErrorKind.BAD_GATEWAY,
    httpStatus: 502,
    provider: providerId,
    retryable: true,
    message,
  };
}

function kindOf(status: number, message: string): UpstreamErrorKind {
  if (status === 400 || status === 413) {
    const known = phrases.find(([phrase]) => phrase.test(message));
    return known?.[1] ?? UpstreamErrorKind.BAD_REQUEST;
  }
  return kinds[status] ?? (status >= 500 ? UpstreamErrorKind.INTERNAL : UpstreamErrorKind.BAD_REQUEST);
}

/** Anthropic may say itself whether a retry makes sense, as its own clients heed. */
function isRetryable(status: number, headers: Headers): boolean {
  if (headers["x-should-retry"] === "true") return true;
  if (headers["x-should-retry"] === "false") return false;
  return status === 408 || status === 409 || status === 429 || status >= 500;
}

function scrub(text: string): string {
  return text.replace(/sk-ant-[A-Za-z0-9_-]+/g, "sk-ant-[redacted]");
}
