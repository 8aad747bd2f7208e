import type { SqlEntityManager } from "@mikro-orm/postgresql";

/** A change that is no change of an audited row. */
export interface Entry {
  /** What was changed: a table with its schema, or a name of the same form. */
  readonly table: string;
  readonly objectId: string;
  readonly action: string;
  /** Secrets are the caller's matter here. */
  readonly before?: object;
  readonly after?: object;
}

/**
 * Appends an entry to the audit, in the transaction of the change; `setActor` has said who makes it. From here to its end
 * the transaction holds the lock on the end of the chain: make this its last statement.
 */
export async function appendEntry(em: SqlEntityManager, entry: Entry): Promise<void> {
  const { table, objectId, action, before, after } = entry;
  await em.execute("select audit.append(?, ?, ?, ?::text::jsonb, ?::text::jsonb)", [
    table,
    objectId,
    action,
    before === undefined ? null : JSON.stringify(before),
    after === undefined ? null : JSON.stringify(after),
  ]);
}
