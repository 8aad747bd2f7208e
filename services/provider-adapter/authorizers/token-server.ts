import type { ConnectError } from "@connectrpc/connect";
import { upstreamError } from "#chassis/errors.ts";
import { UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import type { JsonObject } from "../provider.ts";
import { numberOf, parseObject, textOf } from "../translate/json-reading.ts";
import type { Token } from "./token-cache.ts";

const timeoutMs = 15_000;
const maxAnswerLength = 64 * 1024;
/** Of a token whose server says nothing of its end. */
const defaultLifetimeMs = 3_600_000;

/** Posts a form to a token server, with further headers where it wants them. */
export type AskTokenServer = (
  url: string,
  form: URLSearchParams,
  headers?: Readonly<Record<string, string>>,
) => Promise<{ status: number; body: string }>;

/** Asks a token server within 15 seconds. Redirects are not followed: the form holds a secret. */
export const askTokenServer: AskTokenServer = async (url, form, headers = {}) => {
  const response = await fetch(url, {
    method: "POST",
    headers,
    body: form,
    redirect: "error",
    signal: AbortSignal.timeout(timeoutMs),
  });
  return { status: response.status, body: (await response.text()).slice(0, maxAnswerLength) };
};

/** Whose token it is, for errors: `Google's token server`, `Google refused the credential of vertex_ai`. */
export interface TokenServer {
  /** The provider's id. */
  readonly provider: string;
  readonly owner: string;
}

/**
 * Fetches a token, https://www.rfc-editor.org/rfc/rfc6749#section-5. Throws the error of `upstreamError`: AUTHENTICATION
 * where the server refuses the credential, UNAVAILABLE where it is out of order or out of reach. `nowMs` is the time in
 * milliseconds since 1970.
 */
export async function fetchToken(
  { provider, owner }: TokenServer,
  ask: () => ReturnType<AskTokenServer>,
  nowMs: number,
): Promise<Token> {
  const { status, body } = await ask().catch((cause: unknown) => {
    throw tokenFailure(provider, `${owner}'s token server cannot be reached`, cause);
  });
  const answer = parseObject(body) ?? {};
  const value = textOf(answer.access_token);
  if (status >= 200 && status < 300 && /^[\x21-\x7e]+$/.test(value)) {
    return { value, lifetimeMs: lifetimeOf(answer, nowMs) };
  }
  if (status >= 500 || status === 429) {
    throw tokenFailure(provider, `${owner}'s token server answered ${status}`);
  }
  const reason = reasonOf(answer);
  throw refusedCredential(provider, `${owner} refused the credential of ${provider}${reason && `: ${reason}`}`);
}

/** The error for a credential that is no good. */
export function refusedCredential(provider: string, message: string): ConnectError {
  return upstreamError({
    kind: UpstreamErrorKind.AUTHENTICATION,
    httpStatus: 401,
    provider,
    retryable: false,
    message,
  });
}

/** The error for a token server that is out of order or out of reach. */
export function tokenFailure(provider: string, message: string, cause?: unknown): ConnectError {
  return upstreamError({
    kind: UpstreamErrorKind.UNAVAILABLE,
    httpStatus: 503,
    provider,
    retryable: true,
    message,
    cause,
  });
}

/** Seconds from now, as the standard has it, or a time: in seconds or milliseconds since 1970. */
function lifetimeOf(answer: JsonObject, nowMs: number): number {
  const seconds = Number(answer.expires_in);
  if (seconds > 0) return seconds * 1000;
  const end = numberOf(answer.expires_at) || numberOf(answer.expiration);
  if (end <= 0) return defaultLifetimeMs;
  return Math.max(0, (end > 1e11 ? end : end * 1000) - nowMs);
}

/** OAuth's words for what is wrong, or IBM's. */
function reasonOf(answer: JsonObject): string {
  const { error_description: description, error, errorMessage, message } = answer;
  return (textOf(description) || textOf(error) || textOf(errorMessage) || textOf(message)).slice(0, 200);
}
