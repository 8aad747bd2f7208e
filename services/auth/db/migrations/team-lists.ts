import { Migration } from "@mikro-orm/migrations";

/** Lists of teams show the newest keys of each, are sorted by alias, and groups find whom they are assigned to. */
export class TeamLists extends Migration {
  override up(): void {
    this.addSql(
      `create index virtual_key_team_newest on auth.virtual_key (team_id, created_at desc, key_id)
        where team_id is not null`,
    );
    this.addSql("create index team_alias on auth.team (team_alias, team_id)");
    for (const [table, id] of groupedTables) {
      this.addSql(
        `create index ${table}_access_groups on auth.${table} (${id}) where doc -> 'accessGroupIds' is not null`,
      );
    }
  }

  override down(): void {
    this.addSql("drop index auth.virtual_key_team_newest");
    this.addSql("drop index auth.team_alias");
    for (const [table] of groupedTables) this.addSql(`drop index auth.${table}_access_groups`);
  }
}

const groupedTables = [
  ["virtual_key", "key_id"],
  ["team", "team_id"],
] as const;
