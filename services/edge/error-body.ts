import { type Code, ConnectError } from "@connectrpc/connect";
import { findGatewayError, findUpstreamError, retryAfterMs } from "#chassis/errors.ts";
import { type GatewayError, Reason, type UpstreamError, UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import { isObject } from "./body-json.ts";
import { anthropicType, gatewayRow, meshRow, modelDenialType, unknownKeyType, upstreamRow } from "./error-table.ts";
import { googleErrorBody } from "./google-error.ts";

/** Whose error shape a client reads. `responses` differs from `openai` in the middle of a stream only. */
export type Dialect = "openai" | "responses" | "anthropic" | "google";

/** A failure as a client may see it. */
export interface ErrorAnswer {
  readonly status: number;
  /** The JSON body. */
  readonly body: string;
  /** Names and values in turn. */
  readonly headers: readonly string[];
  /** True where the client is told nothing but the call id: the cause belongs into the log. */
  readonly hidden: boolean;
}

interface Facts {
  readonly status: number;
  readonly type: string;
  readonly message: string;
  readonly param: string;
  readonly code: string;
  readonly retryAfterMs: number | undefined;
  readonly limitType: string;
  /** Members of the provider's own error object. */
  readonly extras: Readonly<Record<string, unknown>>;
  readonly hidden: boolean;
}

const none = { param: "", code: "", limitType: "", extras: {}, hidden: false };

/**
 * Turns anything thrown into what the client gets. The leak policy is here and nowhere else: an error with a GatewayError
 * or UpstreamError detail was written for clients, its message and fields are shown. Anything else is a general sentence
 * with the call id.
 *
 * A provider's error keeps its message, type, code, param and further members where the shapes are the same. LiteLLM
 * writes `litellm.<Class>: <Class>: <Provider>Exception - ` before the message; Sluice does not: clients match on the
 * provider's own words. A rejected credential alone gets the provider's name before it, as it could be mistaken for the
 * client's key.
 */
export function errorAnswer(error: unknown, dialect: Dialect, callId: string): ErrorAnswer {
  const connectError = ConnectError.from(error);
  const gateway = findGatewayError(connectError);
  const upstream = gateway === undefined ? findUpstreamError(connectError) : undefined;
  const facts =
    gateway !== undefined
      ? gatewayFacts(gateway, connectError.rawMessage)
      : upstream !== undefined
        ? upstreamFacts(upstream, connectError.rawMessage, dialect)
        : hiddenFacts(connectError.code, callId);
  return {
    status: facts.status,
    body: JSON.stringify(bodyOf(facts, dialect, callId)),
    headers: retryHeaders(facts),
    hidden: facts.hidden,
  };
}

/** The body of a refusal that is about the HTTP request itself, before any service was asked. */
export function refusalBody(status: number, message: string, dialect: Dialect, callId: string): string {
  const facts: Facts = { ...none, status, type: "invalid_request_error", message, retryAfterMs: undefined };
  return JSON.stringify(bodyOf(facts, dialect, callId));
}

function bodyOf(facts: Facts, dialect: Dialect, callId: string): Record<string, unknown> {
  if (dialect === "anthropic") return anthropicBody(facts, callId);
  return dialect === "google" ? { ...googleErrorBody(facts) } : { error: openaiError(facts) };
}

/**
 * A failure in the middle of a stream, in the form that the dialect's official client raises as an error. Nothing may
 * follow it: least of all the mark of a complete answer.
 */
export function errorEvent(answer: ErrorAnswer, dialect: Dialect): string {
  switch (dialect) {
    case "openai":
    case "google":
      return `data: ${answer.body}\n\n`;
    case "anthropic":
      return `event: error\ndata: ${answer.body}\n\n`;
    case "responses":
      return `event: error\ndata: ${responsesErrorEvent(answer.body)}\n\n`;
  }
}

/** https://platform.openai.com/docs/api-reference/responses-streaming/error, and the error object that its client reads. */
function responsesErrorEvent(body: string): string {
  const { error } = JSON.parse(body);
  return JSON.stringify({ type: "error", code: error.code, message: error.message, param: error.param, error });
}

function gatewayFacts(detail: GatewayError, message: string): Facts {
  const row = gatewayRow(detail.reason);
  const unknownKey = detail.reason === Reason.KEY_INVALID && detail.param === "key";
  return {
    ...none,
    status: row.status,
    type: unknownKey ? unknownKeyType : (modelDenialType(detail) ?? row.type),
    message,
    param: detail.param,
    retryAfterMs: retryAfterMs(detail) ?? (row.status === 503 ? 1000 : undefined),
    limitType: detail.limitType,
  };
}

function upstreamFacts(detail: UpstreamError, fallback: string, dialect: Dialect): Facts {
  const row = upstreamRow(detail.kind);
  const message = detail.message || fallback || `${detail.provider} answered with status ${detail.httpStatus}`;
  const rejected = detail.kind === UpstreamErrorKind.AUTHENTICATION && detail.provider !== "";
  return {
    ...none,
    status: detail.httpStatus >= 400 && detail.httpStatus <= 599 ? detail.httpStatus : row.status,
    type: detail.kind === UpstreamErrorKind.RATE_LIMITED ? row.type : detail.type || row.type,
    message: rejected ? `${detail.provider}: ${message}` : message,
    param: detail.param,
    code: detail.code,
    retryAfterMs: retryAfterMs(detail),
    extras: providerError(detail.body, dialect),
  };
}

function hiddenFacts(code: Code, callId: string): Facts {
  const row = meshRow(code);
  const said = row.status === 500 ? "Internal error" : "The gateway could not reach a part of itself in time";
  return {
    ...none,
    ...row,
    message: `${said}. Quote call id ${callId} to whoever runs the gateway.`,
    retryAfterMs: row.status === 503 ? 1000 : undefined,
    hidden: true,
  };
}

/** The error object of a provider's body, if it is of the client's own dialect. */
function providerError(body: Uint8Array, dialect: Dialect): Record<string, unknown> {
  if (body.length === 0) return {};
  try {
    const parsed: unknown = JSON.parse(Buffer.from(body).toString());
    if (!isObject(parsed) || !isObject(parsed.error)) return {};
    if ((parsed.type === "error") !== (dialect === "anthropic")) return {};
    if (dialect === "google" && typeof parsed.error.status !== "string") return {};
    // What nests too deeply to be written again throws here, not when the answer is written.
    return JSON.parse(JSON.stringify(parsed.error));
  } catch {
    return {};
  }
}

function openaiError(facts: Facts): Record<string, unknown> {
  return {
    ...facts.extras,
    message: facts.message,
    type: facts.type,
    param: facts.param === "" ? null : facts.param,
    code: facts.code === "" ? String(facts.status) : facts.code,
  };
}

function anthropicBody(facts: Facts, callId: string): Record<string, unknown> {
  const type = anthropicType(facts.status, facts.type);
  return { type: "error", error: { ...facts.extras, type, message: facts.message }, request_id: callId };
}

function retryHeaders(facts: Facts): string[] {
  const headers: string[] = [];
  if (facts.retryAfterMs !== undefined) headers.push("retry-after", String(Math.ceil(facts.retryAfterMs / 1000)));
  if (facts.limitType !== "") headers.push("rate_limit_type", facts.limitType);
  return headers;
}
