import { create } from "@bufbuild/protobuf";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { setActor } from "#chassis/audit/actor.ts";
import { AdminCallerSchema } from "#gen/sluice/rest/v1/caller_pb.ts";

const importer = create(AdminCallerSchema, { userId: "import-litellm", operation: "npm run import-litellm" });

/**
 * Tells the audit that this transaction takes rows over from LiteLLM: it leaves one entry for each table, with the number of
 * rows and a digest of them, and not one for each row.
 */
export async function recordImport(em: SqlEntityManager): Promise<void> {
  await setActor(em, importer);
  await em.execute("select set_config('sluice.audit_batch', 'import-litellm', true)");
}
