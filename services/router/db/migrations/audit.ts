import { Migration } from "@mikro-orm/migrations";
import { auditedTable } from "#chassis/audit/audited-table.ts";

/** Changes of models and credentials leave entries in the audit. Model access groups are part of their models. */
export class Audit extends Migration {
  override up(): void {
    for (const statement of audited) this.addSql(statement);
  }
}

const audited = [
  auditedTable("router.deployment", ["model_id"]),
  auditedTable("router.credential", ["credential_name"]),
].flat();
