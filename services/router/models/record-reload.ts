import { setActor } from "#chassis/audit/actor.ts";
import { appendEntry } from "#chassis/audit/append-entry.ts";
import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";
import type { AdminContext } from "./admin-context.ts";

/**
 * Records in the audit that somebody had the configuration file read again. A router without a database, or whose database
 * is away, reloads all the same: then the log alone has it. Never rejects.
 */
export async function recordReload({ sync, live, telemetry }: AdminContext, caller: AdminCaller): Promise<void> {
  try {
    await sync.database.transaction(async (em) => {
      await setActor(em, caller);
      const after = { models: live.current.loaded.config.deployments.length };
      await appendEntry(em, { table: "router.config", objectId: "config", action: "reloaded", after });
    });
  } catch (error) {
    telemetry.reloadNotRecorded(error);
  }
}
