import { Migration } from "@mikro-orm/migrations";
import { maskingStatements } from "./masking-functions.ts";
import { recordingStatements } from "./recording-functions.ts";
import { tableStatements } from "./tables.ts";

/** The first schema. */
export class Initial extends Migration {
  override up(): void {
    for (const statement of [...tableStatements, ...maskingStatements, ...recordingStatements]) this.addSql(statement);
  }
}
