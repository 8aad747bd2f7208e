import { type UpstreamErrorInit, upstreamError } from "#chassis/errors.ts";
import { UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import type { JsonObject, JsonValue } from "../../provider.ts";
import {
  decodeText,
  isObject,
  numberOf,
  objectOf,
  objectsOf,
  parseObject,
  textOf,
} from "../../translate/json-reading.ts";
import { retryAfterMsOf } from "../retry-after.ts";
import { kindOfStatus } from "../status-kind.ts";

export const providerId = "gemini";

/** What the text of a 400 tells beyond its status; the phrases are Google's. */
const phrases: readonly (readonly [RegExp, UpstreamErrorKind])[] = [
  [/API key (?:not valid|expired)|API_KEY_INVALID/i, UpstreamErrorKind.AUTHENTICATION],
  [
    /exceeds the maximum number of tokens|prompt is too long|request payload size exceeds|input token count/i,
    UpstreamErrorKind.CONTEXT_WINDOW,
  ],
  [/response was blocked|blocked by (?:the )?safety|content policy/i, UpstreamErrorKind.CONTENT_POLICY],
];

type Headers = Readonly<Record<string, string>>;

/**
 * Reads a failed answer of any Google API: `{"error":{"code","message","status","details"}}`, or a list of one. Claude on
 * Vertex AI names a `type` in place of the `status`.
 */
export function classifyGoogleError(
  provider: string,
  status: number,
  headers: Headers,
  body: Uint8Array,
): UpstreamErrorInit {
  const text = scrub(decodeText(body));
  const error = errorOf(parseJson(text));
  const message = textOf(error.message) || `${provider} answered ${status}`;
  const kind = kindOf(status, `${message} ${text.slice(0, 2000)}`);
  const retryAfterMs = retryAfterMsOf(headers) ?? retryDelayMs(error);
  return {
    kind,
    httpStatus: kind === UpstreamErrorKind.AUTHENTICATION ? 401 : status,
    provider,
    retryable: status === 408 || status === 429 || status >= 500,
    message,
    code: textOf(error.status) || textOf(error.type),
    type: textOf(error.status) || textOf(error.type),
    body: Buffer.from(text),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  };
}

/** Reads an error that came in the body of a 2xx answer or as an event of a stream; undefined where it is none. */
export function errorInAnswer(provider: string, envelope: JsonObject): UpstreamErrorInit | undefined {
  if (!isObject(envelope.error)) return undefined;
  const code = numberOf(envelope.error.code);
  const status = code >= 400 && code < 600 ? code : 500;
  return classifyGoogleError(provider, status, {}, Buffer.from(JSON.stringify(envelope)));
}

/** Reads a whole answer, or the data of an event. Throws where it is no JSON object, or tells an error. */
export function readResponse(provider: string, text: string): JsonObject {
  const object = parseObject(text);
  if (object === undefined) throw upstreamError(brokenAnswer(provider, "sent something that is no JSON object"));
  const error = errorInAnswer(provider, object);
  if (error !== undefined) throw upstreamError(error);
  return object;
}

/** An answer that is not what the protocol says: worth another try, because a healthy upstream would not send it. */
export function brokenAnswer(provider: string, what: string): UpstreamErrorInit {
  return {
    kind: UpstreamErrorKind.BAD_GATEWAY,
    httpStatus: 502,
    provider,
    retryable: true,
    message: `The provider ${provider} ${what}`,
  };
}

function kindOf(status: number, text: string): UpstreamErrorKind {
  if (status === 400 || status === 413) {
    const known = phrases.find(([phrase]) => phrase.test(text));
    return known?.[1] ?? UpstreamErrorKind.BAD_REQUEST;
  }
  return kindOfStatus[status] ?? (status >= 500 ? UpstreamErrorKind.INTERNAL : UpstreamErrorKind.BAD_REQUEST);
}

function errorOf(body: JsonValue | undefined): JsonObject {
  const envelope = Array.isArray(body) ? body[0] : body;
  return objectOf(objectOf(envelope).error);
}

/** `google.rpc.RetryInfo`: a duration such as `12.5s`. */
function retryDelayMs(error: JsonObject): number | undefined {
  for (const detail of objectsOf(error.details)) {
    const seconds = /^(\d{1,6}(?:\.\d+)?)s$/.exec(textOf(detail.retryDelay))?.[1];
    if (seconds !== undefined) return Math.min(Number(seconds) * 1000, 24 * 60 * 60 * 1000);
  }
  return undefined;
}

function parseJson(text: string): JsonValue | undefined {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function scrub(text: string): string {
  return text.replace(/AIza[A-Za-z0-9_-]{10,}/g, "AIza[redacted]").replace(/ya29\.[A-Za-z0-9_.-]+/g, "ya29.[redacted]");
}
