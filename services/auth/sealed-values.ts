import type { Database } from "#chassis/database/database.ts";
import type { SealedValue } from "#chassis/sealing.ts";
import { WaitingKey } from "./db/entities.ts";

/** Everything that auth stores sealed, the keyring itself excepted. */
export async function sealedValues(database: Database): Promise<readonly SealedValue[]> {
  const waiting = await database.em().find(WaitingKey, {});
  return waiting.map(({ keyId, sealed }) => ({
    kind: "waiting key",
    name: keyId,
    sealed: Buffer.from(sealed, "base64"),
  }));
}
