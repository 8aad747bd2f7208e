import type { Deployment } from "../registry/deployment.ts";
import type { RouterSettings } from "../router-config.ts";
import type { Failure } from "./failure.ts";

/** However much a client asks for. */
const maxRetries = 10;
const maxRetryAfterMs = 60_000;
const firstBackoffMs = 500;
const maxBackoffMs = 8_000;
const jitter = 0.75;

/** The number of retries of a call: the client's, else the deployment's, else the router's; at most 10. */
export function retriesAllowed(asked: number | undefined, deployment: Deployment): number {
  return Math.min(maxRetries, asked ?? deployment.numRetries);
}

/**
 * Whether a failure is worth another try in the group: what the adapter calls retryable is; a refused credential is where
 * another deployment may have a better one.
 */
export function isWorthRetry(failure: Failure, others: boolean): boolean {
  return failure.retryable || (failure.elsewhere && others);
}

/**
 * How long to wait before the next try, in milliseconds: not at all where another deployment stands ready; else what the
 * provider asks for, up to a minute; else 0.5 s, doubled each time up to 8 s, with up to 75 % more at random.
 */
export function retryDelayMs(
  failure: Failure,
  others: boolean,
  retriesBefore: number,
  settings: RouterSettings,
  random: () => number,
): number {
  if (others) return 0;
  const asked = failure.retryAfterMs;
  if (asked !== undefined && asked > 0 && asked <= maxRetryAfterMs) return Math.max(asked, settings.retryAfterMs);
  const backoff = Math.min(maxBackoffMs, firstBackoffMs * 2 ** retriesBefore);
  return Math.max(settings.retryAfterMs, Math.min(maxBackoffMs, backoff * (1 + jitter * random())));
}
