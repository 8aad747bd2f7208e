import { Code } from "@connectrpc/connect";
import { type GatewayError, Reason, UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";

/** The HTTP status and the OpenAI `error.type` of a failure. */
export interface ErrorRow {
  readonly status: number;
  readonly type: string;
}

const internal: ErrorRow = { status: 500, type: "internal_server_error" };
const invalid: ErrorRow = { status: 400, type: "invalid_request_error" };

/**
 * What the gateway itself refuses or fails, with LiteLLM's statuses and types. Where it differs from LiteLLM: an unknown
 * model is 404 as at OpenAI (LiteLLM: 400), a taken name 409 (LiteLLM: 400), a database that is away 503 (LiteLLM: 400
 * or 401), a large body 413, and everything a client wrote wrongly is 400 in this one shape (LiteLLM: 422 in another for
 * some paths). The type of a rate limit is the text `None`, as LiteLLM's own limiter writes it.
 */
const gatewayRows: Readonly<Record<Reason, ErrorRow>> = {
  [Reason.UNSPECIFIED]: internal,
  [Reason.INVALID_REQUEST]: invalid,
  [Reason.KEY_INVALID]: { status: 401, type: "auth_error" },
  [Reason.KEY_EXPIRED]: { status: 401, type: "expired_key" },
  [Reason.KEY_BLOCKED]: { status: 401, type: "auth_error" },
  [Reason.MODEL_ACCESS_DENIED]: { status: 401, type: "key_model_access_denied" },
  [Reason.PERMISSION_DENIED]: { status: 403, type: "auth_error" },
  [Reason.MODEL_NOT_FOUND]: { status: 404, type: "not_found_error" },
  [Reason.BUDGET_EXCEEDED]: { status: 400, type: "budget_exceeded" },
  [Reason.RATE_LIMITED]: { status: 429, type: "None" },
  [Reason.NO_DEPLOYMENT_AVAILABLE]: { status: 429, type: "throttling_error" },
  [Reason.NOT_FOUND]: { status: 404, type: "not_found_error" },
  [Reason.CONFLICT]: { status: 409, type: "bad_request_error" },
  [Reason.UNAVAILABLE]: { status: 503, type: "service_unavailable_error" },
  [Reason.BODY_TOO_LARGE]: { status: 413, type: "invalid_request_error" },
  [Reason.UNPRICED]: { status: 400, type: "budget_exceeded" },
  [Reason.OPERATION_UNSUPPORTED]: invalid,
  [Reason.ALREADY_TEAM_MEMBER]: { status: 400, type: "team_member_already_in_team" },
};

/** The type of a KEY_INVALID that names the key: a key was given, and nobody knows it. */
export const unknownKeyType = "token_not_found_in_db";

/** LiteLLM has a type for each level whose list lacks the model; a tag, a member and the like have their own here. */
export function modelDenialType({ reason, level }: GatewayError): string | undefined {
  if (reason !== Reason.MODEL_ACCESS_DENIED || level === "") return undefined;
  return `${level === "organization" ? "org" : level}_model_access_denied`;
}

/**
 * What a provider caused. The status is used where the adapter gives none, the type where the provider gave none; the
 * type of a rate limit is LiteLLM's in any case.
 */
const upstreamRows: Readonly<Record<UpstreamErrorKind, ErrorRow>> = {
  [UpstreamErrorKind.UNSPECIFIED]: internal,
  [UpstreamErrorKind.BAD_REQUEST]: invalid,
  [UpstreamErrorKind.AUTHENTICATION]: { status: 401, type: "authentication_error" },
  [UpstreamErrorKind.PERMISSION_DENIED]: { status: 403, type: "permission_error" },
  [UpstreamErrorKind.NOT_FOUND]: { status: 404, type: "not_found_error" },
  [UpstreamErrorKind.TIMEOUT]: { status: 408, type: "timeout_error" },
  [UpstreamErrorKind.UNPROCESSABLE]: { status: 422, type: "invalid_request_error" },
  [UpstreamErrorKind.RATE_LIMITED]: { status: 429, type: "throttling_error" },
  [UpstreamErrorKind.INTERNAL]: internal,
  [UpstreamErrorKind.BAD_GATEWAY]: { status: 502, type: "bad_gateway_error" },
  [UpstreamErrorKind.UNAVAILABLE]: { status: 503, type: "service_unavailable_error" },
  [UpstreamErrorKind.CONNECTION]: { status: 500, type: "api_connection_error" },
  [UpstreamErrorKind.CONTEXT_WINDOW]: invalid,
  [UpstreamErrorKind.CONTENT_POLICY]: invalid,
};

export function gatewayRow(reason: Reason): ErrorRow {
  return gatewayRows[reason] ?? internal;
}

export function upstreamRow(kind: UpstreamErrorKind): ErrorRow {
  return upstreamRows[kind] ?? internal;
}

/** A failure without a detail came from the mesh itself: a peer that is away or late is worth a retry. */
export function meshRow(code: Code): ErrorRow {
  switch (code) {
    case Code.Unavailable:
    case Code.ResourceExhausted:
      return gatewayRows[Reason.UNAVAILABLE];
    case Code.DeadlineExceeded:
      return upstreamRows[UpstreamErrorKind.TIMEOUT];
    default:
      return internal;
  }
}

/** https://docs.anthropic.com/en/api/errors */
const anthropicTypes: Readonly<Record<number, string>> = {
  400: "invalid_request_error",
  401: "authentication_error",
  402: "billing_error",
  403: "permission_error",
  404: "not_found_error",
  408: "timeout_error",
  413: "request_too_large",
  429: "rate_limit_error",
  504: "timeout_error",
  529: "overloaded_error",
};

const anthropicVocabulary: ReadonlySet<string> = new Set([...Object.values(anthropicTypes), "api_error"]);

/**
 * Anthropic's word for a failure: the provider's own where it is one of Anthropic's, else the one of the status. OpenAI
 * has `invalid_request_error` too, and says it of a wrong key or model as well: there the status tells more.
 */
export function anthropicType(status: number, type: string): string {
  if (type !== "invalid_request_error" && anthropicVocabulary.has(type)) return type;
  return anthropicTypes[status] ?? (status < 500 ? "invalid_request_error" : "api_error");
}
