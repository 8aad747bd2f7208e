import { createHash } from "node:crypto";
import type { Database } from "#chassis/database/database.ts";
import { contextColumns } from "../usage-record.ts";
import { rows } from "./statement.ts";

/** What calls have in common, in the table `spend_context`: see `UsageRow.context`. */
export interface SpendContexts {
  /** Makes the rows of contexts that are missing, before the first call refers to them. */
  ensure(contexts: Iterable<string>): Promise<void>;
}

const maxRemembered = 10_000;
/** How long a row is trusted to be there: a database that falls back in time gets it again. */
const trustMs = 60_000;

const contextTypes: Readonly<Record<string, string>> = {
  stream: "boolean",
  usage_estimated: "boolean",
  attempted_retries: "integer",
  attempted_fallbacks: "integer",
};
const columns = contextColumns.join(", ");
const typed = contextColumns.map((column) => `${column} ${contextTypes[column] ?? "text"}`).join(", ");

export function createSpendContexts(database: Database, clock: () => number): SpendContexts {
  const trustedUntil = new Map<string, number>();
  return {
    async ensure(contexts) {
      const nowMs = clock();
      const missing = [...new Set(contexts)].filter((context) => (trustedUntil.get(context) ?? 0) <= nowMs);
      if (missing.length === 0) return;
      await insertContexts(database, missing);
      if (trustedUntil.size + missing.length > maxRemembered) trustedUntil.clear();
      for (const context of missing) trustedUntil.set(context, nowMs + trustMs);
    },
  };
}

/** In the order of the ids, so that replicas cannot wait for each other in a circle. */
async function insertContexts(database: Database, contexts: readonly string[]): Promise<void> {
  const objects = contexts.map((context) => {
    const values = context.split("\0");
    const named = contextColumns.map((column, n) => [column, values[n]]);
    return { id: contextId(context), ...Object.fromEntries(named), scopes: values.slice(contextColumns.length) };
  });
  await rows(
    database.em(),
    `insert into accounting.spend_context (id, ${columns}, scopes)
     select id, ${columns}, scopes from json_to_recordset($1::json) as c(id uuid, ${typed}, scopes text[])
     order by id on conflict do nothing`,
    [JSON.stringify(objects)],
  );
}

/** The name of a context, a UUID: the first half of its SHA-256. */
export function contextId(context: string): string {
  const hex = createHash("sha256").update(context).digest("hex").slice(0, 32);
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/** The number that stands for a key in the index: the first eight bytes of the SHA-256 of its id. */
export function keyHash(keyId: string): bigint {
  return createHash("sha256").update(keyId).digest().readBigInt64BE(0);
}
