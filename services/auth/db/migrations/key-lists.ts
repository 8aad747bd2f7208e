import { Migration } from "@mikro-orm/migrations";

/** Keys that wait to be collected, and what the list of keys is searched and sorted by. */
export class KeyLists extends Migration {
  override up(): void {
    this.addSql("create table auth.waiting_key (key_id text not null primary key, sealed text not null)");
    for (const [name, columns] of indexes) this.addSql(`create index ${name} on auth.virtual_key (${columns})`);
  }

  override down(): void {
    for (const [name] of indexes) this.addSql(`drop index auth.${name}`);
    this.addSql("drop table auth.waiting_key");
  }
}

const indexes = [
  ["virtual_key_maker", "created_by"],
  ["virtual_key_updated", "updated_at desc, key_id"],
] as const;
