import { Code, ConnectError } from "@connectrpc/connect";
import { findUpstreamError, retryAfterMs, upstreamError } from "#chassis/errors.ts";
import type { Secret } from "#chassis/secret.ts";
import { UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import { EventStreamProblem } from "./aws-eventstream.ts";
import { EncodingProblem } from "./content-decoding.ts";
import { SseProblem } from "./sse.ts";
import { parseObject, textOf } from "./translate/json-reading.ts";
import { AddressProblem } from "./upstream.ts";

/** The answer is not what the protocol says. Another deployment may do better. */
export function malformedAnswer(provider: string, what: string, cause?: unknown): ConnectError {
  return upstreamError({
    kind: UpstreamErrorKind.BAD_GATEWAY,
    httpStatus: 502,
    provider,
    retryable: true,
    message: `${provider}: ${what}`,
    cause,
  });
}

/** What may have aborted a call: a signal, or a cancellation. */
interface Abort {
  readonly aborted: boolean;
  readonly reason: unknown;
}

/**
 * The error of whatever was thrown during a call. An abort is told apart by what aborts: it is nobody's failure. What went
 * wrong underneath is the cause, for the log; the message names no address. `started`: a part of the answer has gone on, so
 * that a lost connection is a broken answer.
 */
export function callError(provider: string, error: unknown, abort: Abort, started: boolean): ConnectError {
  if (abort.aborted) return ConnectError.from(abort.reason, Code.Canceled);
  if (error instanceof ConnectError) return error;
  if (error instanceof SseProblem || error instanceof EventStreamProblem || error instanceof EncodingProblem) {
    return malformedAnswer(provider, error.message, error);
  }
  if (error instanceof AddressProblem) return connectionError(provider, error.message, false, error);
  const code = codeOf(error);
  if (timeouts.has(code)) return timeoutError(provider, error);
  if (malformed.test(code)) return malformedAnswer(provider, "the answer is malformed", error);
  if (code === "" && isMistake(error)) return new ConnectError("the adapter failed", Code.Internal, {}, [], error);
  if (code === "HTTP_REQUEST_INVALID") return connectionError(provider, "the request cannot be sent", false, error);
  if (started) return malformedAnswer(provider, "the connection was cut in the middle of the answer", error);
  return connectionError(provider, connectionText(code), true, error);
}

const timeouts = new Set(["HTTP_CONNECT_TIMEOUT", "HTTP_HEAD_TIMEOUT", "HTTP_BODY_TIMEOUT", "ETIMEDOUT"]);
/** Codes of the HTTP client and of the decompressors. */
const malformed = /^(?:HTTP_MALFORMED$|Z_|ZSTD_|ERR__ERROR|ERR_BROTLI|ERR_ZSTD)/;

/** Neither the network nor a provider throws these: the fault is ours, and no repetition heals it. */
function isMistake(error: unknown): boolean {
  return [TypeError, RangeError, ReferenceError, SyntaxError].some((kind) => error instanceof kind);
}

function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return "";
  if ("code" in error && typeof error.code === "string") return error.code;
  // Several addresses of one name failed: the first failure stands for all.
  return error instanceof AggregateError ? codeOf(error.errors[0]) : codeOf(error.cause);
}

function connectionText(code: string): string {
  switch (code) {
    case "ECONNREFUSED":
      return "the connection was refused";
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return "the host name does not resolve";
    case "":
    case "ECONNRESET":
    case "EPIPE":
    case "HTTP_CUT":
      return "the connection was cut";
    case "HTTP_PROXY_UNREACHABLE":
      return "the proxy on the way cannot be reached";
    case "HTTP_PROXY_REFUSED":
      return "the proxy on the way does not connect";
    default:
      return `the connection failed (${code})`;
  }
}

/** The provider did not answer in time. */
export function timeoutError(provider: string, cause: unknown): ConnectError {
  return upstreamError({
    kind: UpstreamErrorKind.TIMEOUT,
    httpStatus: 408,
    provider,
    retryable: true,
    message: `${provider}: no answer in time`,
    type: "timeout",
    cause,
  });
}

function connectionError(provider: string, what: string, retryable: boolean, cause: unknown): ConnectError {
  return upstreamError({
    kind: UpstreamErrorKind.CONNECTION,
    httpStatus: 500,
    provider,
    retryable,
    message: `${provider}: ${what}`,
    cause,
  });
}

/** What keys of well-known providers look like; the shortest real ones are far longer. */
const keyPattern = /\b(?:sk|pk|gsk|xai|rk)[-_][A-Za-z0-9_-]{16,}/g;

/**
 * Takes credentials out of what a provider said about a failure: the one that was sent, and whatever looks like one.
 * Returns the error itself where there is none in it.
 */
export function withoutCredentials(error: ConnectError, credential: Secret | undefined): ConnectError {
  const detail = findUpstreamError(error);
  if (detail === undefined) return error;
  const secrets = secretTexts(credential);
  const scrub = (text: string) =>
    secrets.reduce((scrubbed, secret) => scrubbed.replaceAll(secret, "…"), text).replace(keyPattern, "…");
  const body = Buffer.from(detail.body).toString();
  const said = [detail.message, detail.code, detail.type, detail.param, body];
  if (said.every((text) => scrub(text) === text)) return error;
  return upstreamError({
    kind: detail.kind,
    httpStatus: detail.httpStatus,
    provider: detail.provider,
    retryable: detail.retryable,
    retryAfterMs: retryAfterMs(detail),
    message: scrub(detail.message),
    code: scrub(detail.code),
    type: scrub(detail.type),
    param: scrub(detail.param),
    body: Buffer.from(scrub(body)),
    cause: error.cause,
  });
}

/** What of a credential must not be told: all of it and, of several secrets in a JSON object, each. */
export function secretTexts(credential: Secret | undefined): string[] {
  const whole = credential?.reveal().trim() ?? "";
  const several = whole.startsWith("{") ? Object.values(parseObject(whole) ?? {}).map((value) => textOf(value)) : [];
  return [whole, ...several].filter((secret) => secret.length >= 4);
}
