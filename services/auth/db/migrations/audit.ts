import { Migration } from "@mikro-orm/migrations";
import { auditedTable } from "#chassis/audit/audited-table.ts";

/** Changes of what administrators manage leave entries in the audit. */
export class Audit extends Migration {
  override up(): void {
    for (const statement of audited) this.addSql(statement);
  }
}

const audited = [
  auditedTable("auth.virtual_key", ["key_id"]),
  auditedTable("auth.retired_key", ["retired_key_id"]),
  auditedTable("auth.waiting_key", ["key_id"]),
  auditedTable("auth.internal_user", ["user_id"]),
  auditedTable("auth.team", ["team_id"]),
  auditedTable("auth.team_member", ["team_id", "user_id"]),
  auditedTable("auth.organization", ["organization_id"]),
  auditedTable("auth.organization_member", ["organization_id", "user_id"]),
  auditedTable("auth.project", ["project_id"]),
  auditedTable("auth.budget", ["budget_id"]),
  auditedTable("auth.customer", ["customer_id"]),
  auditedTable("auth.tag", ["tag_name"]),
  auditedTable("auth.access_group", ["access_group_id"]),
  auditedTable("auth.keyring", ["wrapping_id"]),
  auditedTable("auth.master_key_rotation", ["old_hash"]),
].flat();
