import { Migration } from "@mikro-orm/migrations";
import { auditedTable } from "#chassis/audit/audited-table.ts";

/** Changes of what administrators manage leave entries in the audit. */
export class Audit extends Migration {
  override up(): void {
    for (const [table, ids] of audited) {
      for (const statement of auditedTable(`auth.${table}`, ids)) this.addSql(statement);
    }
  }

  override down(): void {
    for (const [table] of audited) {
      this.addSql(`drop trigger audit on auth.${table}`);
      this.addSql(`drop trigger audit_truncate on auth.${table}`);
    }
  }
}

const audited: readonly (readonly [table: string, ids: readonly string[]])[] = [
  ["virtual_key", ["key_id"]],
  ["retired_key", ["retired_key_id"]],
  ["waiting_key", ["key_id"]],
  ["internal_user", ["user_id"]],
  ["team", ["team_id"]],
  ["team_member", ["team_id", "user_id"]],
  ["organization", ["organization_id"]],
  ["organization_member", ["organization_id", "user_id"]],
  ["project", ["project_id"]],
  ["budget", ["budget_id"]],
  ["customer", ["customer_id"]],
  ["tag", ["tag_name"]],
  ["access_group", ["access_group_id"]],
];
