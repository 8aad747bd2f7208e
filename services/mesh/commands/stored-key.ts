import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Database } from "#chassis/database/database.ts";
import { ConfigurationError } from "#chassis/environment.ts";
import { createSealer, type KeyedSealer } from "#chassis/sealing.ts";
import { type GivenKeys, unwrap, type Wrapping } from "#chassis/wrapping.ts";
import { authSchema } from "../../auth/db/schema.ts";
import { checkKeyring, readWrappings } from "../../auth/keyring.ts";
import { findMasterKey } from "../master-key.ts";
import { givenKeys } from "../trust.ts";
import type { CommandContext } from "./command.ts";

/** The key that is stored wrapped, opened with the salt or master key of the environment. */
export interface StoredKey {
  readonly key: KeyedSealer;
  readonly wrappings: readonly Wrapping[];
  readonly given: GivenKeys;
  /** Auth's, in which it is kept. */
  readonly auth: Database;
}

/** @throws ConfigurationError where there is none, or the salt or master key is the wrong one. Makes neither. */
export async function openStoredKey({ file, config, state, log }: CommandContext): Promise<StoredKey> {
  const dataDir = existsSync(join(config.dataDir, "master.key")) ? config.dataDir : undefined;
  const given = givenKeys(file.env, findMasterKey(file.env, file.masterKey, dataDir));
  const clock = Date.now;
  const auth = await state.database({ ...authSchema, before: (em) => checkKeyring(em, { given, log, clock }) });
  const wrappings = await readWrappings(auth.em(), new Date(clock()));
  const unwrapped = unwrap(wrappings, given);
  if (unwrapped === undefined)
    throw new ConfigurationError("There is no keyring: no gateway was started on this database.");
  return { key: createSealer(unwrapped.key), wrappings, given, auth };
}
