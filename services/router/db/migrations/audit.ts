import { Migration } from "@mikro-orm/migrations";
import { auditedTable } from "#chassis/audit/audited-table.ts";

/** Changes of models and credentials leave entries in the audit. Model access groups are part of their models. */
export class Audit extends Migration {
  override up(): void {
    for (const [table, id] of audited) {
      for (const statement of auditedTable(`router.${table}`, [id])) this.addSql(statement);
    }
  }

  override down(): void {
    for (const [table] of audited) {
      this.addSql(`drop trigger audit on router.${table}`);
      this.addSql(`drop trigger audit_truncate on router.${table}`);
    }
  }
}

const audited = [
  ["deployment", "model_id"],
  ["credential", "credential_name"],
] as const;
