import { create } from "@bufbuild/protobuf";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { setActor } from "#chassis/audit/actor.ts";
import { nameOf } from "#chassis/authorship.ts";
import { databaseError } from "#chassis/database/database.ts";
import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";
import { DeploymentsChangedSchema } from "#gen/sluice/router/v1/model_pb.ts";
import type { AdminContext } from "./admin-context.ts";

/** What was done to what: kind, name and action, for the log. */
export interface Changed {
  readonly kind: "model" | "credential" | "access_group";
  readonly name: string;
  readonly action: "created" | "updated" | "deleted" | "blocked" | "unblocked";
}

export interface ChangeResult<T> {
  readonly result: T;
  readonly changed: Changed;
}

/**
 * Runs an administrator's change in one transaction that also counts the revision up: changes take turns by that row, and
 * a router that sees a revision sees all that led to it. When this resolves, the change is in effect here, and the other
 * routers are told; one that does not hear it sees the revision when it next looks.
 *
 * @throws what the work throws, and UNAVAILABLE where the database does not answer.
 */
export async function change<T>(
  { sync, events, telemetry }: AdminContext,
  caller: AdminCaller,
  work: (em: SqlEntityManager) => Promise<ChangeResult<T>>,
): Promise<T> {
  const { database } = sync;
  const { revision, outcome } = await database
    .transaction(async (em) => {
      await setActor(em, caller);
      const [state] = await em.execute<{ revision: string }[]>(
        "update router.state set revision = revision + 1 returning revision",
      );
      return { revision: BigInt(state?.revision ?? 0), outcome: await work(em) };
    })
    .catch((error: unknown) => {
      throw databaseError(error);
    });
  events.publish(DeploymentsChangedSchema, create(DeploymentsChangedSchema, { revision }));
  await sync.refresh();
  telemetry.changed(outcome.changed, nameOf(caller));
  return outcome.result;
}
