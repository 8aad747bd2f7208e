import { Code, ConnectError } from "@connectrpc/connect";
import { findGatewayError, findUpstreamError, type UpstreamErrorInit, upstreamError } from "#chassis/errors.ts";
import { type GatewayError, Reason, type UpstreamError, UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import { malformedAnswer, timeoutError } from "../failure.ts";
import type { Provider } from "../provider.ts";
import { retryAfterMsOf } from "../providers/retry-after.ts";

/** The HTTP status that says what a gRPC status says, https://grpc.io/docs/guides/status-codes/ */
const statuses: Readonly<Record<Code, number>> = {
  [Code.Canceled]: 502,
  [Code.Unknown]: 500,
  [Code.InvalidArgument]: 400,
  [Code.DeadlineExceeded]: 408,
  [Code.NotFound]: 404,
  [Code.AlreadyExists]: 400,
  [Code.PermissionDenied]: 403,
  [Code.ResourceExhausted]: 429,
  [Code.FailedPrecondition]: 400,
  [Code.Aborted]: 500,
  [Code.OutOfRange]: 400,
  [Code.Unimplemented]: 404,
  [Code.Internal]: 500,
  [Code.Unavailable]: 503,
  [Code.DataLoss]: 500,
  [Code.Unauthenticated]: 401,
};

const maxTextLength = 4096;
const maxBodyBytes = 64 * 1024;

/**
 * The error of whatever ended a relayed call. What the service itself said is classified by its detail, else by its
 * status and its words as those of any provider; a refusal of its own gateway becomes the provider's, so that nobody takes
 * it for one of ours. What the transport found goes to `callError` where it is the network's, and is a malformed answer
 * else. `started`: a part of the answer has gone on.
 */
export function peerFailure(provider: Provider, thrown: unknown, started: boolean): unknown {
  if (!(thrown instanceof ConnectError)) return thrown;
  if (thrown.isWireError) return saidFailure(provider, thrown);
  if (findUpstreamError(thrown) !== undefined) return thrown;
  if (thrown.code === Code.ResourceExhausted && /larger/.test(thrown.rawMessage)) {
    return malformedAnswer(provider.id, "the service sent a message that is too large", thrown);
  }
  // Node's own error is underneath: it tells a refused connection from a broken one.
  const { cause } = thrown;
  if (cause instanceof Error && "code" in cause && typeof cause.code === "string") return cause;
  const status = Number(/^HTTP (\d{3})$/.exec(thrown.rawMessage)?.[1] ?? 0);
  if (status >= 400) return upstreamError({ ...initOf(provider, status, ""), cause: thrown });
  switch (thrown.code) {
    case Code.DeadlineExceeded:
      return timeoutError(provider.id, thrown);
    case Code.Canceled:
    case Code.Aborted:
      return malformedAnswer(provider.id, started ? "the service broke the answer off" : "the service hung up", thrown);
    default:
      return malformedAnswer(provider.id, "what the service sent is not what the protocol says", thrown);
  }
}

function saidFailure(provider: Provider, error: ConnectError): ConnectError {
  const headers = Object.fromEntries(error.metadata);
  const upstream = findUpstreamError(error);
  if (upstream !== undefined) return upstreamError(detailed(provider, upstream, error));
  const refusal = findGatewayError(error);
  const status = refusal === undefined ? statuses[error.code] : refusedStatus(refusal, error.code);
  const init = initOf(provider, status, error.rawMessage.slice(0, maxTextLength));
  return upstreamError({
    ...init,
    param: refusal?.param.slice(0, maxTextLength) ?? init.param,
    retryAfterMs: retryAfterMsOf(headers),
  });
}

/** Classified as an HTTP answer with this status and this message would be. */
function initOf(provider: Provider, status: number, message: string): UpstreamErrorInit {
  const body = Buffer.from(JSON.stringify({ error: { message } }));
  return { ...provider.classifyError(status, {}, body), body: undefined };
}

function refusedStatus({ reason }: GatewayError, code: Code): number {
  switch (reason) {
    case Reason.INVALID_REQUEST:
    case Reason.OPERATION_UNSUPPORTED:
      return 400;
    case Reason.BODY_TOO_LARGE:
      return 413;
    case Reason.MODEL_NOT_FOUND:
      return 404;
    case Reason.RATE_LIMITED:
    case Reason.BUDGET_EXCEEDED:
    case Reason.NO_DEPLOYMENT_AVAILABLE:
      return 429;
    default:
      return statuses[code];
  }
}

/** What the service classified itself; what it left out is filled in. */
function detailed(provider: Provider, detail: UpstreamError, error: ConnectError): UpstreamErrorInit {
  const given = detail.httpStatus >= 400 && detail.httpStatus <= 599;
  const status = given ? detail.httpStatus : statuses[error.code];
  const message = (detail.message || error.rawMessage).slice(0, maxTextLength);
  const own = initOf(provider, status, message);
  const { seconds = 0n, nanos = 0 } = detail.retryAfter ?? {};
  return {
    kind: detail.kind in UpstreamErrorKind && detail.kind !== UpstreamErrorKind.UNSPECIFIED ? detail.kind : own.kind,
    httpStatus: status,
    provider: provider.id,
    retryable: detail.retryable,
    message: message === "" ? own.message : message,
    retryAfterMs: detail.retryAfter === undefined ? undefined : waitMs(seconds, nanos),
    code: detail.code.slice(0, maxTextLength),
    type: detail.type.slice(0, maxTextLength),
    param: detail.param.slice(0, maxTextLength),
    body: detail.body.subarray(0, maxBodyBytes),
  };
}

const maxWaitMs = 24 * 60 * 60 * 1000;

function waitMs(seconds: bigint, nanos: number): number {
  return Math.min(Math.max(Number(seconds) * 1000 + nanos / 1e6, 0), maxWaitMs);
}
