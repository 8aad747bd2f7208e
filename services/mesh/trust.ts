import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { Database } from "#chassis/database/database.ts";
import { type Environment, text } from "#chassis/environment.ts";
import { type Keyring, openKeyring } from "#chassis/keyring.ts";
import { Secret } from "#chassis/secret.ts";
import type { GivenKeys, Wrapping } from "#chassis/wrapping.ts";
import type { KeyWrapping } from "#gen/sluice/auth/v1/keyring_pb.ts";
import { KeyringService } from "#gen/sluice/auth/v1/keyring_service_pb.ts";
import { readEnv as readAuthEnv } from "../auth/config.ts";
import { authSchema } from "../auth/db/schema.ts";
import { checkKeyring, prepareKeyring } from "../auth/keyring.ts";
import type { Start } from "./hosting.ts";
import type { MasterKey } from "./master-key.ts";

/** What a process knows of secrets before it hosts anything. */
export interface Trust {
  /** Undefined where no hosted service seals or opens. */
  readonly keyring: Keyring | undefined;
  /** Auth's; undefined where it is not hosted. */
  readonly authDatabase: Database | undefined;
}

/** How long a start waits for auth. A process without its keyring serves what it can, and goes on trying. */
const authPatienceMs = 10_000;

/**
 * Opens the keyring: from the database where auth is hosted, else from auth. Nothing is written, and no other database
 * is touched, before it is known that the salt and master keys are the right ones.
 *
 * @throws ConfigurationError where they are not.
 */
export async function openTrust(start: Start): Promise<Trust> {
  const { file, config, log, peers, state, masterKey } = start;
  const given = givenKeys(file.env, masterKey);
  const common = { given, log, signal: start.stopping.signal };
  if (config.services.has("auth")) {
    const own = log.with({ service: "auth" });
    const checked = { given, log: own, clock: Date.now };
    const database = await state.database({ ...authSchema, before: (em) => checkKeyring(em, checked) });
    const store = { ...checked, grace: readAuthEnv(file.env).rotation.masterGrace };
    const load = () => prepareKeyring(database, store);
    return { keyring: await openKeyring({ ...common, load }, authPatienceMs), authDatabase: database };
  }
  if (!config.services.has("router") && !config.services.has("provider-adapter")) {
    return { keyring: undefined, authDatabase: undefined };
  }
  const auth = peers.client("auth", KeyringService);
  const load = async () => (await auth.getKeyring({}, { timeoutMs: authTimeoutMs })).wrappings.map(wrappingOf);
  return { keyring: await openKeyring({ ...common, load }, authPatienceMs), authDatabase: undefined };
}

const authTimeoutMs = 5000;

const saltVariables = ["SLUICE_SALT_KEY", "LITELLM_SALT_KEY"] as const;

/** The keys that a process was given to unwrap with, and where they came from. */
export function givenKeys(env: Environment, masterKey: MasterKey | undefined): GivenKeys {
  const place = saltVariables.find((name) => text(env, name) !== undefined);
  return {
    salt: place === undefined ? undefined : { secret: new Secret(text(env, place) ?? ""), place },
    master: masterKey && { secret: masterKey.key, place: masterKey.place },
    former: masterKey?.former,
  };
}

function wrappingOf({ id, kind, wrapped, createdAt, expiresAt }: KeyWrapping): Wrapping {
  return {
    ...{ id, kind, wrapped },
    createdAt: createdAt === undefined ? new Date(0) : timestampDate(createdAt),
    expiresAt: expiresAt && timestampDate(expiresAt),
  };
}
