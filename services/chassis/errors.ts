import { create } from "@bufbuild/protobuf";
import { durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  type GatewayError,
  GatewayErrorSchema,
  Reason,
  type UpstreamError,
  UpstreamErrorKind,
  UpstreamErrorSchema,
} from "#gen/sluice/error/v1/error_pb.ts";

/** The Connect code of every reason. The HTTP status a client sees is the edge's business. */
const codes: Record<Reason, Code> = {
  [Reason.UNSPECIFIED]: Code.Unknown,
  [Reason.INVALID_REQUEST]: Code.InvalidArgument,
  [Reason.KEY_INVALID]: Code.Unauthenticated,
  [Reason.KEY_EXPIRED]: Code.Unauthenticated,
  [Reason.KEY_BLOCKED]: Code.Unauthenticated,
  [Reason.MODEL_ACCESS_DENIED]: Code.PermissionDenied,
  [Reason.PERMISSION_DENIED]: Code.PermissionDenied,
  [Reason.MODEL_NOT_FOUND]: Code.NotFound,
  [Reason.BUDGET_EXCEEDED]: Code.ResourceExhausted,
  [Reason.RATE_LIMITED]: Code.ResourceExhausted,
  [Reason.NO_DEPLOYMENT_AVAILABLE]: Code.Unavailable,
  [Reason.NOT_FOUND]: Code.NotFound,
  [Reason.CONFLICT]: Code.AlreadyExists,
  [Reason.UNAVAILABLE]: Code.Unavailable,
  [Reason.BODY_TOO_LARGE]: Code.InvalidArgument,
  [Reason.UNPRICED]: Code.FailedPrecondition,
  [Reason.OPERATION_UNSUPPORTED]: Code.InvalidArgument,
  [Reason.ALREADY_TEAM_MEMBER]: Code.AlreadyExists,
};

export interface GatewayErrorOptions {
  /** The request field or entity at fault. */
  readonly param?: string;
  /** How long until a retry can succeed, in milliseconds. */
  readonly retryAfterMs?: number;
  /** Which limit was met: `requests`, `tokens`, `max_parallel_requests`, `budget`. */
  readonly limitType?: string;
  /** Whose rights lack the model. */
  readonly level?: string;
  /** What happened underneath. It reaches the log and never a client. */
  readonly cause?: unknown;
}

/** An error that the gateway itself raises. `message` is read by clients: no secret, no internals. */
export function gatewayError(reason: Reason, message: string, options: GatewayErrorOptions = {}): ConnectError {
  const detail = create(GatewayErrorSchema, {
    reason,
    param: options.param ?? "",
    limitType: options.limitType ?? "",
    level: options.level ?? "",
  });
  if (options.retryAfterMs !== undefined) detail.retryAfter = durationFromMs(options.retryAfterMs);
  return new ConnectError(
    message,
    codes[reason],
    undefined,
    [{ desc: GatewayErrorSchema, value: detail }],
    options.cause,
  );
}

export interface UpstreamErrorInit {
  readonly kind: UpstreamErrorKind;
  readonly httpStatus: number;
  readonly provider: string;
  readonly retryable: boolean;
  readonly message: string;
  readonly retryAfterMs?: number;
  readonly code?: string;
  readonly type?: string;
  readonly param?: string;
  readonly body?: Uint8Array;
  readonly cause?: unknown;
}

/** An error that a provider caused. Made once, by the adapter that saw the failure. */
export function upstreamError(init: UpstreamErrorInit): ConnectError {
  const detail = create(UpstreamErrorSchema, {
    kind: init.kind,
    httpStatus: init.httpStatus,
    provider: init.provider,
    retryable: init.retryable,
    message: init.message,
    code: init.code ?? "",
    type: init.type ?? "",
    param: init.param ?? "",
    body: init.body ?? new Uint8Array(),
  });
  if (init.retryAfterMs !== undefined) detail.retryAfter = durationFromMs(init.retryAfterMs);
  return new ConnectError(
    init.message,
    upstreamCode(init.kind),
    undefined,
    [{ desc: UpstreamErrorSchema, value: detail }],
    init.cause,
  );
}

function upstreamCode(kind: UpstreamErrorKind): Code {
  switch (kind) {
    case UpstreamErrorKind.TIMEOUT:
      return Code.DeadlineExceeded;
    case UpstreamErrorKind.RATE_LIMITED:
      return Code.ResourceExhausted;
    case UpstreamErrorKind.INTERNAL:
    case UpstreamErrorKind.BAD_GATEWAY:
    case UpstreamErrorKind.UNAVAILABLE:
    case UpstreamErrorKind.CONNECTION:
      return Code.Unavailable;
    default:
      return Code.FailedPrecondition;
  }
}

/** The gateway's own detail of an error, if it carries one. */
export function findGatewayError(error: ConnectError): GatewayError | undefined {
  return error.findDetails(GatewayErrorSchema)[0];
}

/** The provider's detail of an error, if it carries one. */
export function findUpstreamError(error: ConnectError): UpstreamError | undefined {
  return error.findDetails(UpstreamErrorSchema)[0];
}

/** How long the error asks to wait, in milliseconds. */
export function retryAfterMs(detail: GatewayError | UpstreamError): number | undefined {
  return detail.retryAfter === undefined ? undefined : durationMs(detail.retryAfter);
}
