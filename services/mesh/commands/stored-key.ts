import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Database } from "#chassis/database/database.ts";
import { ConfigurationError } from "#chassis/environment.ts";
import { createSealer, type KeyedSealer } from "#chassis/sealing.ts";
import { type GivenKeys, unwrap, type Wrapping } from "#chassis/wrapping.ts";
import { readEnv as readAuthEnv } from "../../auth/config.ts";
import { authSchema } from "../../auth/db/schema.ts";
import { checkKeyring, prepareKeyring, readWrappings } from "../../auth/keyring.ts";
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
export async function openStoredKey(context: CommandContext): Promise<StoredKey> {
  const given = givenHere(context, false);
  const auth = await openAuth(context, given);
  return openedWith(await readWrappings(auth.em(), new Date()), given, auth);
}

/**
 * The same for a command that may be there before the first start of a gateway: it makes what is missing, as that start
 * would; a master key only where the gateway keeps everything in its data directory.
 *
 * @throws ConfigurationError where the salt or master key is the wrong one.
 */
export async function makeStoredKey(context: CommandContext): Promise<StoredKey> {
  const given = givenHere(context, true);
  const auth = await openAuth(context, given);
  const grace = readAuthEnv(context.file.env).rotation.masterGrace;
  return openedWith(await prepareKeyring(auth, { given, log: context.log, clock: Date.now, grace }), given, auth);
}

function givenHere({ file, config }: CommandContext, makes: boolean): GivenKeys {
  const mayMake = makes && config.databaseUrl === undefined;
  const dataDir = mayMake || keepsKey(config.dataDir) ? config.dataDir : undefined;
  return givenKeys(file.env, findMasterKey(file.env, file.masterKey, dataDir));
}

function keepsKey(dataDir: string): boolean {
  return existsSync(join(dataDir, "master.key"));
}

function openAuth({ state, log }: CommandContext, given: GivenKeys): Promise<Database> {
  return state.database({ ...authSchema, before: (em) => checkKeyring(em, { given, log, clock: Date.now }) });
}

function openedWith(wrappings: readonly Wrapping[], given: GivenKeys, auth: Database): StoredKey {
  const unwrapped = unwrap(wrappings, given);
  if (unwrapped === undefined)
    throw new ConfigurationError("There is no keyring: no gateway was started on this database.");
  return { key: createSealer(unwrapped.key), wrappings, given, auth };
}
