import { ConnectError } from "@connectrpc/connect";
import { findGatewayError, gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";

const windowMs = 60_000;
/** Bounds the memory: beyond it the address that failed longest ago is forgotten. */
const maxAddresses = 10_000;

interface Failures {
  count: number;
  readonly since: number;
}

/**
 * Counts keys that nobody knows, by the address they come from. An address that tried too many in a minute is answered
 * without a question to auth until the minute is over; keys that are in memory work from there all the same.
 */
export class FailedAttempts {
  readonly #limit: number;
  readonly #now: () => number;
  readonly #failures = new Map<string, Failures>();

  /** `limit` is the number of failures of a minute; 0 counts nothing. `now` is any clock that does not go back. */
  constructor(limit: number, now: () => number) {
    this.#limit = limit;
    this.#now = now;
  }

  /** @throws RATE_LIMITED where the address has tried too many. */
  check(address: string): void {
    const failures = this.#current(address);
    if (failures === undefined || failures.count < this.#limit) return;
    throw gatewayError(Reason.RATE_LIMITED, "Too many calls with keys that do not exist. Try again in a minute.", {
      retryAfterMs: failures.since + windowMs - this.#now(),
      limitType: "requests",
    });
  }

  /** Counts what an authentication failed with, if it is a key that nobody knows. */
  note(address: string, error: unknown): void {
    if (this.#limit === 0 || findGatewayError(ConnectError.from(error))?.reason !== Reason.KEY_INVALID) return;
    const failures = this.#current(address) ?? { count: 0, since: this.#now() };
    failures.count += 1;
    this.#failures.delete(address);
    this.#failures.set(address, failures);
    if (this.#failures.size <= maxAddresses) return;
    const oldest = this.#failures.keys().next();
    if (!oldest.done) this.#failures.delete(oldest.value);
  }

  #current(address: string): Failures | undefined {
    const failures = this.#failures.get(address);
    return failures === undefined || this.#now() - failures.since >= windowMs ? undefined : failures;
  }
}
