import type { Database } from "#chassis/database/database.ts";

/** A key that came from another gateway and is here still. */
export interface TakenKey {
  readonly keyId: string;
  readonly name: string;
}

const pageSize = 500;

/** All keys that were taken from another gateway and are here still, some at a time. */
export async function* takenKeys(database: Database): AsyncIterable<TakenKey[]> {
  for (let after = ""; ; ) {
    const rows = await database.transaction((em) =>
      em.execute<{ key_id: string; name: string }[]>(
        `select k.key_id, coalesce(k.key_alias, k.key_name) as name from auth.virtual_key k
         join auth.imported i on i.kind = 'key' and i.id = 'key:' || k.key_id
         where k.key_id > ? order by k.key_id limit ${pageSize}`,
        [after],
      ),
    );
    if (rows.length > 0) yield rows.map(({ key_id: keyId, name }) => ({ keyId, name }));
    const last = rows.at(-1);
    if (last === undefined || rows.length < pageSize) return;
    after = last.key_id;
  }
}
