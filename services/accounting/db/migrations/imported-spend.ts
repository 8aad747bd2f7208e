import { Migration } from "@mikro-orm/migrations";

/** What scopes had spent elsewhere when that was taken, so that an import that is repeated adds only what came since. */
export class ImportedSpend extends Migration {
  override up(): void {
    this.addSql(`create table accounting.imported_spend (
      scope text collate "C" not null primary key,
      spent_nano_usd bigint not null,
      window_end timestamptz null,
      ledger_end timestamptz null,
      imported_at timestamptz not null
    )`);
  }

  override down(): void {
    this.addSql("drop table accounting.imported_spend");
  }
}
