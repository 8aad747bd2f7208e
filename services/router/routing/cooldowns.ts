import type { Deployment } from "../registry/deployment.ts";
import type { RouterSettings } from "../router-config.ts";

/** How a deployment has been doing. It belongs to one router process. */
export interface DeploymentHealth {
  cooldownUntil: number;
  /** The minute the two counts below belong to. */
  minute: number;
  requests: number;
  failures: number;
  /** Failures counted against `allowed_fails`, and when the count began. */
  fails: number;
  failsSince: number;
}

export function createHealth(): DeploymentHealth {
  return { cooldownUntil: 0, minute: 0, requests: 0, failures: 0, fails: 0, failsSince: 0 };
}

/** A failure, as far as cooldowns look at it. */
export interface DeploymentFailure {
  readonly httpStatus: number;
  readonly retryable: boolean;
  readonly retryAfterMs: number | undefined;
  /** The failure says that the deployment itself is wrong (its key, its model) and not what the client asked of it. */
  readonly permanent: boolean;
}

const minuteMs = 60_000;
const failureShare = 0.5;
const minRequests = 5;
const singleMinRequests = 1_000;
const maxRetryAfterMs = 60_000;

export function isCooling(deployment: Deployment, now: number): boolean {
  return deployment.health.cooldownUntil > now;
}

export function recordSuccess({ health }: Deployment, now: number): void {
  enterMinute(health, now);
  health.requests++;
}

/**
 * Counts a failure and cools the deployment down where LiteLLM's rules say so; returns for how long, in milliseconds, 0
 * for not at all. With `allowed_fails`: more failures than that within the cooldown time. Without: at once on a 429 where
 * the group has others and on a failure of the deployment itself (a refused key, an unknown model); when more than half of at least 5 requests
 * of this minute failed, where the group has others; when all of at least 1000 failed. A refused request (other 4xx) is
 * no failure of the deployment. Unlike LiteLLM, a connection that fails counts, and a 404 of something that the client
 * named (a file, an earlier response) takes nobody's deployment away at once.
 */
export function recordFailure(
  deployment: Deployment,
  failure: DeploymentFailure,
  others: boolean,
  settings: RouterSettings,
  now: number,
): number {
  const { health } = deployment;
  enterMinute(health, now);
  health.requests++;
  if (!isFault(failure.httpStatus)) return 0;
  health.failures++;
  const duration = cooldownMs(deployment, failure, settings);
  if (settings.disableCooldowns || duration === 0) return 0;
  const exceeded =
    settings.allowedFails === undefined
      ? meetsDefaultRules(health, failure, others)
      : exceedsAllowedFails(health, settings.allowedFails, duration, now);
  if (!exceeded) return 0;
  health.cooldownUntil = now + duration;
  return duration;
}

function isFault(status: number): boolean {
  return status === 401 || status === 404 || status === 408 || status === 429 || status >= 500;
}

function meetsDefaultRules(health: DeploymentHealth, failure: DeploymentFailure, others: boolean): boolean {
  if (failure.permanent) return true;
  if (failure.httpStatus === 429 && others) return true;
  if (others) return health.requests >= minRequests && health.failures / health.requests > failureShare;
  return health.requests >= singleMinRequests && health.failures === health.requests;
}

function exceedsAllowedFails(health: DeploymentHealth, allowed: number, windowMs: number, now: number): boolean {
  if (now - health.failsSince >= windowMs) {
    health.fails = 0;
    health.failsSince = now;
  }
  health.fails++;
  return health.fails > allowed;
}

function cooldownMs(deployment: Deployment, failure: DeploymentFailure, settings: RouterSettings): number {
  if (deployment.cooldownMs !== undefined) return deployment.cooldownMs;
  const asked = failure.retryAfterMs;
  return asked !== undefined && asked > 0 && asked <= maxRetryAfterMs ? asked : settings.cooldownMs;
}

function enterMinute(health: DeploymentHealth, now: number): void {
  const minute = Math.floor(now / minuteMs);
  if (health.minute === minute) return;
  health.minute = minute;
  health.requests = 0;
  health.failures = 0;
}
