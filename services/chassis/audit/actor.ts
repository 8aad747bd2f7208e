import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { nameOf } from "#chassis/authorship.ts";
import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";

/**
 * Tells the audit who makes the changes of this transaction, from where and by which call. Whatever the transaction
 * changes afterwards, or has changed before, is recorded under this name when it commits.
 */
export async function setActor(em: SqlEntityManager, caller: AdminCaller): Promise<void> {
  const actor = {
    changed_by: caller.changedBy === "" ? nameOf(caller) : caller.changedBy,
    user_id: caller.userId,
    key_id: caller.keyId,
    master: caller.master,
    address: caller.address,
    operation: caller.operation,
  };
  await em.execute("select set_config('sluice.actor', ?, true)", [storable(JSON.stringify(actor))]);
}

/** PostgreSQL's JSON has no place for NUL and for halves of surrogate pairs; nothing that arrives should hold them. */
function storable(json: string): string {
  return json.replace(/\\u(0000|d[89a-f][0-9a-f]{2})/g, "\\ufffd");
}
