import { Migration } from "@mikro-orm/migrations";

/**
 * Keys that wait to be collected, and what the list of keys is searched and sorted by. The indexes by user and team take
 * the place of those of the first schema, which left out keys without one.
 */
export class KeyLists extends Migration {
  override up(): void {
    this.addSql("create table auth.waiting_key (key_id text not null primary key, sealed text not null)");
    for (const [name, columns] of indexes) this.addSql(`create index ${name} on auth.virtual_key (${columns})`);
    for (const [name] of replaced) this.addSql(`drop index auth.${name}`);
  }

  override down(): void {
    for (const [name, column] of replaced) {
      this.addSql(`create index ${name} on auth.virtual_key (${column}) where ${column} is not null`);
    }
    for (const [name] of indexes) this.addSql(`drop index auth.${name}`);
    this.addSql("drop table auth.waiting_key");
  }
}

const indexes = [
  ["virtual_key_maker", "created_by"],
  ["virtual_key_updated", "updated_at, key_id"],
  ["virtual_key_expiry", "expires_at, key_id"],
  ["virtual_key_by_user", "user_id, key_id"],
  ["virtual_key_by_team", "team_id, key_id"],
] as const;

const replaced = [
  ["virtual_key_user", "user_id"],
  ["virtual_key_team", "team_id"],
] as const;
