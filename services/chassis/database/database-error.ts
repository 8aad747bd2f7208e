import { Code, ConnectError } from "@connectrpc/connect";
import { UniqueConstraintViolationException } from "@mikro-orm/core";
import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";

/**
 * SQLSTATE classes and codes (https://www.postgresql.org/docs/current/errcodes-appendix.html) that say "not now":
 * connection lost, login refused, out of resources, shutting down, I/O error; serialization failure and deadlock;
 * read-only (a replica after a failover), statement cancelled by a timeout, lock not available, database missing.
 */
const transientClasses: ReadonlySet<string> = new Set(["08", "28", "53", "58", "40"]);
const transientCodes: ReadonlySet<string> = new Set([
  "25006",
  "57014",
  "57P01",
  "57P02",
  "57P03",
  "57P05",
  "55P03",
  "3D000",
  "25P03",
  "25P04",
]);

const socketCodes: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "ECONNABORTED",
  "EPIPE",
  "ENOENT",
  "EACCES",
  "ETIMEDOUT",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
]);

/** Errors of the `pg` driver that carry no code. */
const driverMessages: readonly string[] = [
  "Connection terminated",
  "timeout exceeded when trying to connect",
  "timeout expired",
  "Query read timeout",
  "Client has encountered a connection error",
  "Client was closed and is not queryable",
  "Cannot use a pool after calling end on the pool",
  "driver has already been destroyed",
];

/**
 * Turns what a database call threw into the error a peer may see. A database that does not answer, or not now, is
 * UNAVAILABLE with `Reason.UNAVAILABLE`; anything else is INTERNAL, with the original as the cause. A ConnectError is
 * returned as it is, so that a handler can wrap everything it does in one `catch`.
 */
export function databaseError(error: unknown): ConnectError {
  if (error instanceof ConnectError) return error;
  if (isUnavailable(error)) {
    return gatewayError(Reason.UNAVAILABLE, "The database does not answer. Try again.", {
      retryAfterMs: 1000,
      cause: error,
    });
  }
  return new ConnectError("The database refused a statement.", Code.Internal, undefined, undefined, error);
}

/** Whether a write met a row with the same value of a unique column; `constraint` narrows it to one constraint. */
export function isUniqueViolation(error: unknown, constraint?: string): boolean {
  if (!(error instanceof UniqueConstraintViolationException)) return false;
  return constraint === undefined || error.message.includes(`"${constraint}"`);
}

function isUnavailable(error: unknown): boolean {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth += 1) {
    const code: unknown = "code" in at ? at.code : undefined;
    if (typeof code === "string") {
      if (socketCodes.has(code) || transientCodes.has(code) || transientClasses.has(code.slice(0, 2))) return true;
    }
    const { message } = at;
    if (driverMessages.some((text) => message.includes(text))) return true;
  }
  return false;
}
