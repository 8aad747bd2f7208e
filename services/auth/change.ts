import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { setActor } from "#chassis/audit/actor.ts";
import { nameOf } from "#chassis/authorship.ts";
import { databaseError } from "#chassis/database/database.ts";
import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";
import type { RouteContext } from "./context.ts";
import { noteEnded } from "./forgetting.ts";

export { createdBy, nameOf, touch } from "#chassis/authorship.ts";

/** One thing that a change touched. */
export interface Changed {
  /** What it is: a scope, see `scopeOf`. */
  readonly scope: string;
  readonly action: "created" | "updated" | "deleted" | "blocked" | "unblocked" | "rotated" | "collected";
}

/** What a change hands out of its transaction. */
export interface ChangeResult<T> {
  readonly result: T;
  readonly changed: readonly Changed[];
}

/**
 * Runs an administrator's change: all of it in one transaction, with its entries in the audit and the notes of whom to tell;
 * told once it is committed. Every change of auth goes through here. The work asks no other service: a peer may be slow
 * while rows are locked, and one on the same embedded database waits for this transaction to end.
 *
 * @throws what the work throws, and UNAVAILABLE where the database does not answer.
 */
export async function change<T>(
  { database, announcer, telemetry, clock }: RouteContext,
  caller: AdminCaller,
  work: (em: SqlEntityManager) => Promise<ChangeResult<T>>,
): Promise<T> {
  const { result, changed } = await database
    .transaction(async (em) => {
      await setActor(em, caller);
      const outcome = await work(em);
      if (outcome.changed.length > 0) {
        await announcer.note(
          em,
          outcome.changed.map(({ scope }) => scope),
        );
        await noteEnded(em, outcome.changed, new Date(clock()));
      }
      return outcome;
    })
    .catch((error: unknown) => {
      throw databaseError(error);
    });
  if (changed.length > 0) {
    await announcer.announce();
    telemetry.changed(changed, nameOf(caller));
  }
  return result;
}
