import type { UpstreamErrorInit } from "#chassis/errors.ts";
import { UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import type { JsonObject, JsonValue } from "../../provider.ts";
import { decodeText, isObject, objectOf, objectsOf, parseObject } from "../../translate/json-reading.ts";
import { retryAfterMsOf } from "../retry-after.ts";

/** What an error body says, in whichever of the usual shapes it comes. */
interface ErrorBody {
  readonly message: string;
  readonly code: string;
  readonly type: string;
  readonly param: string;
}

const maxMessageLength = 4096;

/**
 * Reads a failed answer of a provider that speaks OpenAI's format. The client gets the provider's own status; the kind is
 * told from the wording where that says more than the status (a prompt that does not fit is a 400 like any other).
 */
export function classifyError(
  provider: string,
  status: number,
  headers: Readonly<Record<string, string>>,
  body: Uint8Array,
): UpstreamErrorInit {
  const error = readErrorBody(decodeText(body));
  const kind = kindOfText(status, error) ?? kindOfStatus(status);
  return {
    kind,
    httpStatus: status,
    provider,
    retryable: isRetryable(status, kind),
    message: error.message === "" ? `${provider} answered with status ${status}` : error.message,
    retryAfterMs: retryAfterMsOf(headers),
    code: error.code,
    type: error.type,
    param: error.param,
    body,
  };
}

/** Reads an error that came inside a stream or inside a 2xx answer: `{"error": …}`, or the error object itself. */
export function errorInAnswer(provider: string, answer: JsonObject): UpstreamErrorInit {
  const body = Buffer.from(JSON.stringify(answer));
  const init = classifyError(provider, statusInAnswer(answer), {}, body);
  return { ...init, message: init.message === "" ? `${provider} broke the answer off with an error` : init.message };
}

/** The status that an error inside an answer names, else the one its words stand for. */
function statusInAnswer(answer: JsonObject): number {
  const error = objectOf(answer.error ?? answer);
  for (const value of [error.status_code, error.code, error.status, answer.code]) {
    const status = Number(value);
    if (Number.isInteger(status) && status >= 400 && status <= 599) return status;
  }
  const words = `${word(error.type)} ${word(error.code)}`;
  if (/rate_limit|insufficient_quota|too_many_requests|tokens/.test(words)) return 429;
  if (/invalid_api_key|authentication/.test(words)) return 401;
  if (/permission/.test(words)) return 403;
  if (/not_found/.test(words)) return 404;
  if (/overloaded|unavailable/.test(words)) return 503;
  return /invalid_request|bad_request|invalid_|context_length|content_policy|tool_use_failed/.test(words) ? 400 : 500;
}

function readErrorBody(text: string): ErrorBody {
  const parsed = parseObject(text);
  if (parsed === undefined) return { message: plainText(text), code: "", type: "", param: "" };
  const [first] = objectsOf(parsed.errors);
  const error: JsonValue = parsed.error ?? first ?? parsed;
  if (!isObject(error)) return { message: shorten(word(error)), code: word(parsed.code), type: "", param: "" };
  return {
    message: shorten(word(error.message) || detailText(parsed.detail) || word(parsed.message)),
    code: word(error.code),
    type: word(error.type),
    param: word(error.param),
  };
}

/** FastAPI's `detail`: a text, or a list of what is wrong where. */
function detailText(detail: JsonValue | undefined): string {
  if (!Array.isArray(detail)) return word(detail);
  return detail
    .map((item) => {
      const { loc, msg } = objectOf(item);
      return `${Array.isArray(loc) ? `${loc.map(word).join(".")}: ` : ""}${word(msg)}`;
    })
    .join("; ");
}

/** An error page is no message. */
function plainText(text: string): string {
  return /^\s*</.test(text) ? "" : shorten(text.trim());
}

function shorten(text: string): string {
  return text.length > maxMessageLength ? `${text.slice(0, maxMessageLength)}…` : text;
}

function word(value: JsonValue | undefined): string {
  if (typeof value === "string") return value;
  return typeof value === "number" ? String(value) : "";
}

const contextWindow =
  /maximum context length|context_length_exceeded|longer than the model's context length|input tokens exceed|string_above_max_length|string too long|inputs tokens \+ max_new_tokens must be|exceeds the maximum number of tokens allowed|current length is \d+ while limit is|prompt is too long|exceeds? (?:the )?(?:available |model's )?context (?:size|window)/i;
const contentPolicy = /content_policy_violation|content_filter|violat\w+ (?:our |the )?usage polic/i;
const rateLimit = /rate.?limit|service tier capacity exceeded|request too large|token_quota_reached/i;

/** The wording that common servers share, looked at before the status; only where the status leaves the kind open. */
function kindOfText(status: number, error: ErrorBody): UpstreamErrorKind | undefined {
  if (status !== 400 && status !== 413 && status !== 422 && status !== 500) return undefined;
  const text = `${error.code} ${error.type} ${error.message}`;
  if (contextWindow.test(text)) return UpstreamErrorKind.CONTEXT_WINDOW;
  if (contentPolicy.test(text)) return UpstreamErrorKind.CONTENT_POLICY;
  if (rateLimit.test(text)) return UpstreamErrorKind.RATE_LIMITED;
  if (error.code === "model_not_found" || error.type === "invalid_model") return UpstreamErrorKind.NOT_FOUND;
  if (error.code === "invalid_api_key") return UpstreamErrorKind.AUTHENTICATION;
  return undefined;
}

function kindOfStatus(status: number): UpstreamErrorKind {
  switch (status) {
    case 401:
      return UpstreamErrorKind.AUTHENTICATION;
    case 402:
    case 403:
      return UpstreamErrorKind.PERMISSION_DENIED;
    case 404:
    case 410:
      return UpstreamErrorKind.NOT_FOUND;
    case 408:
    case 504:
    case 522:
    case 524:
      return UpstreamErrorKind.TIMEOUT;
    case 422:
      return UpstreamErrorKind.UNPROCESSABLE;
    case 429:
      return UpstreamErrorKind.RATE_LIMITED;
    case 502:
      return UpstreamErrorKind.BAD_GATEWAY;
    case 503:
    case 529:
      return UpstreamErrorKind.UNAVAILABLE;
    default:
      return status >= 500 ? UpstreamErrorKind.INTERNAL : UpstreamErrorKind.BAD_REQUEST;
  }
}

function isRetryable(status: number, kind: UpstreamErrorKind): boolean {
  if (kind === UpstreamErrorKind.CONTEXT_WINDOW || kind === UpstreamErrorKind.CONTENT_POLICY) return false;
  return status === 408 || status === 409 || status === 429 || status >= 500 || kind === UpstreamErrorKind.RATE_LIMITED;
}
