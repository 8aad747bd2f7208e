import { Code, ConnectError } from "@connectrpc/connect";
import { findGatewayError, findUpstreamError, gatewayError, retryAfterMs, upstreamError } from "#chassis/errors.ts";
import { Reason, type UpstreamError, UpstreamErrorKind, UpstreamErrorSchema } from "#gen/sluice/error/v1/error_pb.ts";
import type { Deployment } from "../registry/deployment.ts";
import type { ModelGroup } from "../registry/registry.ts";

/** A failed attempt, with what retries, fallbacks and cooldowns want to know of it. */
export interface Failure {
  /** What the client gets if nothing helps. */
  readonly error: ConnectError;
  /** Absent where it was not the provider that failed. */
  readonly kind: UpstreamErrorKind | undefined;
  readonly httpStatus: number;
  readonly retryable: boolean;
  /** The credential was refused: worth a try elsewhere, pointless here. */
  readonly elsewhere: boolean;
  readonly retryAfterMs: number | undefined;
  /** Whether the deployment's health is concerned. */
  readonly ofDeployment: boolean;
  /** The deployment itself is wrong: its key is refused, or its model does not exist. */
  readonly permanent: boolean;
}

/** How providers begin the message of a 404 that is about the model. What a client named stands further back. */
const aboutModel = /^(the )?(requested )?(model|deployment)\b/i;

/** Reads an error of an attempt and notes the deployment in it. */
export function readFailure(thrown: unknown, deployment: Deployment): Failure {
  const error = ConnectError.from(thrown, Code.Internal);
  const detail = findUpstreamError(error);
  if (detail === undefined) return gatewayFailure(error);
  detail.deployment = deployment.id;
  if (detail.provider === "") detail.provider = deployment.provider;
  return {
    error: new ConnectError(
      error.rawMessage,
      error.code,
      undefined,
      [{ desc: UpstreamErrorSchema, value: detail }],
      error.cause,
    ),
    kind: detail.kind,
    httpStatus: detail.httpStatus,
    retryable: detail.retryable,
    elsewhere: detail.kind === UpstreamErrorKind.AUTHENTICATION || detail.kind === UpstreamErrorKind.PERMISSION_DENIED,
    retryAfterMs: retryAfterMs(detail),
    ofDeployment: true,
    permanent: isPermanent(detail),
  };
}

/** The adapter itself refused or was not there. An adapter that cannot be reached is worth another try. */
function gatewayFailure(error: ConnectError): Failure {
  const detail = findGatewayError(error);
  return {
    error,
    kind: undefined,
    httpStatus: 0,
    retryable: detail === undefined ? error.code === Code.Unavailable : detail.reason === Reason.UNAVAILABLE,
    elsewhere: false,
    retryAfterMs: undefined,
    ofDeployment: false,
    permanent: false,
  };
}

function isPermanent({ kind, code, message }: UpstreamError): boolean {
  if (kind === UpstreamErrorKind.AUTHENTICATION) return true;
  return kind === UpstreamErrorKind.NOT_FOUND && (code === "model_not_found" || aboutModel.test(message));
}

/** Time ran out on our side. */
export function timeoutError(deployment: Deployment, what: string): ConnectError {
  return upstreamError({
    kind: UpstreamErrorKind.TIMEOUT,
    httpStatus: 408,
    provider: deployment.provider,
    retryable: true,
    message: `Request timed out: ${what}`,
  });
}

/** The adapter's answer was not what the contract says. */
export function brokenAnswer(deployment: Deployment, what: string): ConnectError {
  return upstreamError({
    kind: UpstreamErrorKind.BAD_GATEWAY,
    httpStatus: 502,
    provider: deployment.provider,
    retryable: true,
    message: `${deployment.provider}: ${what}`,
  });
}

/** Nothing in the group can take a call now: what a call to it comes to. */
export function unavailable(group: ModelGroup, now: number): Failure {
  const { deployments } = group;
  const [first] = deployments;
  const keyless = deployments.every(({ missingVariable }) => missingVariable !== undefined);
  if (keyless && first?.missingVariable !== undefined) {
    return readFailure(missingCredential(first, first.missingVariable), first);
  }
  return gatewayFailure(noDeployment(group, now));
}

/** A deployment that needs a key and has none: it answers as the provider would, and says what to set. */
function missingCredential(deployment: Deployment, variable: string): ConnectError {
  return upstreamError({
    kind: UpstreamErrorKind.AUTHENTICATION,
    httpStatus: 401,
    provider: deployment.provider,
    retryable: false,
    message: `${deployment.provider} needs an API key and there is none: set ${variable}`,
  });
}

function noDeployment(group: ModelGroup, now: number): ConnectError {
  const ready = group.deployments.reduce((soonest, { health, missingVariable }) => {
    return missingVariable === undefined ? Math.min(soonest, health.cooldownUntil) : soonest;
  }, Number.POSITIVE_INFINITY);
  const waitMs = Number.isFinite(ready) ? Math.max(0, ready - now) : 0;
  return gatewayError(
    Reason.NO_DEPLOYMENT_AVAILABLE,
    `No deployments available for selected model, Try again in ${Math.ceil(waitMs / 1000)} seconds. Passed model=${group.name}`,
    { param: "model", retryAfterMs: waitMs },
  );
}
