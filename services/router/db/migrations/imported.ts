import { Migration } from "@mikro-orm/migrations";
import { importedTable } from "#chassis/database/imported-rows.ts";

/** What was taken from another gateway, so that an import can be repeated. */
export class Imported extends Migration {
  override up(): void {
    this.addSql(importedTable("router"));
  }

  override down(): void {
    this.addSql("drop table router.imported");
  }
}
