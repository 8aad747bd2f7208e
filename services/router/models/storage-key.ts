import { randomBytes } from "node:crypto";
import type { Database } from "#chassis/database/database.ts";
import { createSealer, type Sealer } from "#chassis/sealing.ts";
import { Secret } from "#chassis/secret.ts";

/**
 * The sealer of what is stored. Its key is random, made once, and kept in one row that is sealed by the sealer of the
 * mesh: a new salt or master key takes a new wrapping of that row, and no other row is touched. Rejects where the row was
 * sealed under another salt or master key.
 */
export async function openStorageSealer(database: Database, wrapping: Sealer): Promise<Sealer> {
  const known = await readWrapped(database);
  if (known !== null) return createSealer(wrapping.open(known));
  const made = wrapping.seal(new Secret(randomBytes(32).toString("base64")));
  // Of two routers that start at the same time one is first, and both use its key.
  await database.em().execute("update router.state set wrapped_key = ? where wrapped_key is null", [Buffer.from(made)]);
  const wrapped = await readWrapped(database);
  if (wrapped === null) throw new Error("the router's state is missing in the database");
  return createSealer(wrapping.open(wrapped));
}

async function readWrapped(database: Database): Promise<Uint8Array | null> {
  const [state] = await database
    .em()
    .execute<{ wrapped_key: Uint8Array | null }[]>("select wrapped_key from router.state");
  return state?.wrapped_key ?? null;
}
