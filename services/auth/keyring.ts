import { create } from "@bufbuild/protobuf";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { setActor } from "#chassis/audit/actor.ts";
import type { Database } from "#chassis/database/database.ts";
import { addDuration, parseDuration } from "#chassis/duration.ts";
import { ConfigurationError } from "#chassis/environment.ts";
import { mintKeyEncryptionKey } from "#chassis/keyring.ts";
import type { Logger } from "#chassis/log.ts";
import { createSealer, type KeyedSealer } from "#chassis/sealing.ts";
import {
  type GivenKey,
  type GivenKeys,
  givenSealers,
  type Unwrapped,
  unwrap,
  type Wrapping,
} from "#chassis/wrapping.ts";
import { AdminCallerSchema } from "#gen/sluice/rest/v1/caller_pb.ts";
import { KeyWrapping, type KeyWrappingRow, WaitingKey } from "./db/entities.ts";
import { hashKey } from "./secret-key.ts";

/** What the keyring is prepared with. */
export interface KeyringStore {
  readonly given: GivenKeys;
  /** How long a master key still opens the keyring once a new salt key does, as a duration. */
  readonly grace: string;
  readonly log: Logger;
  readonly clock: () => number;
}

/**
 * Looks whether a start with these keys can be right, on a database of any age, and writes nothing.
 *
 * @throws ConfigurationError where the master key was replaced and its grace is over, or where nothing opens.
 */
export async function checkKeyring(
  em: SqlEntityManager,
  { given, log, clock }: Omit<KeyringStore, "grace">,
): Promise<void> {
  const now = new Date(clock());
  const { master } = given;
  if (master !== undefined && (await hasTable(em, "auth.master_key_rotation")))
    await checkMasterKey(em, master, now, log);
  if (await hasTable(em, "auth.keyring")) unwrap(await storedWrappings(em, now), given);
  else if (await hasTable(em, "router.state")) unwrap(await formerWrapping(em, now), given);
}

/** Who is said to have made or adapted the keyring: a start. */
const starter = create(AdminCallerSchema, { userId: "keyring", operation: "start" });

/**
 * Makes the keyring where there is none, and brings it into the form that suits the given keys: a salt key that is new
 * gets a wrapping of its own, and the master key's expires; a master key that was set in the place of a generated one gets
 * one beside it. One transaction; processes that start together take turns.
 *
 * @returns the wrappings.
 * @throws as `unwrap` does; nothing is changed then.
 */
export function prepareKeyring(database: Database, store: KeyringStore): Promise<readonly Wrapping[]> {
  const now = new Date(store.clock());
  return database.transaction(async (em) => {
    await setActor(em, starter);
    await lockKeyring(em);
    await forgetExpired(em, now);
    const wrappings = await readWrappings(em, now);
    const unwrapped = unwrap(wrappings, store.given);
    if (unwrapped === undefined) await makeKey(em, store.given, now);
    else await adopt(em, store, unwrapped, now);
    if (store.given.salt === undefined && unwrapped !== undefined) warnOfSalt(store, unwrapped, wrappings);
    return readWrappings(em, now);
  });
}

/** Every wrapping, oldest first; without the key where it has expired. */
export async function readWrappings(em: SqlEntityManager, now: Date): Promise<readonly Wrapping[]> {
  const orderBy = { createdAt: "asc", wrappingId: "asc" } as const;
  const rows = await em.find(KeyWrapping, {}, { orderBy, disableIdentityMap: true });
  return rows.map((row) => wrappingOf(row, now));
}

/** Changes of the keyring take turns until the end of their transactions; it can be read meanwhile. */
export async function lockKeyring(em: SqlEntityManager): Promise<void> {
  await em.execute("lock table auth.keyring in share row exclusive mode");
}

/** Takes the key out of wrappings whose time is over. The rows stay, to tell whoever still has the old key. */
export async function forgetExpired(em: SqlEntityManager, now: Date): Promise<void> {
  await em.nativeUpdate(KeyWrapping, { expiresAt: { $lte: now } }, { wrapped: new Uint8Array() });
}

/** Lets the wrappings under master keys expire, and puts one more beside them. */
export async function replaceWrapping(
  em: SqlEntityManager,
  next: Pick<KeyWrappingRow, "kind" | "wrapped" | "wrappingId">,
  now: Date,
  oldUntil: Date,
): Promise<void> {
  await em.nativeUpdate(KeyWrapping, { kind: "master", expiresAt: null }, { expiresAt: oldUntil });
  await putWrapping(em, next, now);
}

async function putWrapping(
  em: SqlEntityManager,
  row: Pick<KeyWrappingRow, "kind" | "wrapped" | "wrappingId">,
  createdAt: Date,
): Promise<void> {
  await em.nativeDelete(KeyWrapping, { wrappingId: row.wrappingId });
  await em.insert(KeyWrapping, { ...row, createdAt, expiresAt: null });
}

async function makeKey(em: SqlEntityManager, given: GivenKeys, now: Date): Promise<void> {
  const under = given.salt ?? given.master;
  if (under === undefined) throw new ConfigurationError("SLUICE_MASTER_KEY or LITELLM_MASTER_KEY must be set");
  const key = mintKeyEncryptionKey();
  const sealer = createSealer(under.secret);
  const kind = given.salt === undefined ? "master" : "salt";
  await putWrapping(em, { wrappingId: sealer.keyId, kind, wrapped: sealer.seal(key) }, now);
  await resealWaitingKeys(em, createSealer(key), given);
}

async function adopt(em: SqlEntityManager, store: KeyringStore, unwrapped: Unwrapped, now: Date): Promise<void> {
  const { given, grace, log } = store;
  const { key, by, wrapping } = unwrapped;
  const under = given[by];
  if (wrapping.id === "" && under !== undefined) {
    const sealer = createSealer(under.secret);
    await em.nativeDelete(KeyWrapping, { wrappingId: "" });
    await putWrapping(em, { wrappingId: sealer.keyId, kind: by, wrapped: sealer.seal(key) }, wrapping.createdAt);
    await resealWaitingKeys(em, createSealer(key), given);
  }
  if (by === "former" && given.salt === undefined && given.master !== undefined) {
    const sealer = createSealer(given.master.secret);
    await putWrapping(em, { wrappingId: sealer.keyId, kind: "master", wrapped: sealer.seal(key) }, now);
    log.info("stored secrets open with the master key that was set, too", { place: given.master.place });
  }
  if (by === "salt" || given.salt === undefined) return;
  const sealer = createSealer(given.salt.secret);
  const until = addDuration(now, parseDuration(grace));
  await replaceWrapping(em, { wrappingId: sealer.keyId, kind: "salt", wrapped: sealer.seal(key) }, now, until);
  log.info("stored secrets are sealed under the salt key now", {
    place: given.salt.place,
    masterKeyOpensUntil: until.toISOString(),
  });
}

function warnOfSalt({ given, log }: KeyringStore, { wrapping }: Unwrapped, wrappings: readonly Wrapping[]): void {
  if (!wrappings.some(({ kind }) => kind === "salt")) return;
  log.warn(
    "stored secrets are sealed under a salt key, and the master key opens them no longer than this; set it too",
    {
      place: given.master?.place,
      until: wrapping.expiresAt?.toISOString(),
    },
  );
}

/** Keys that wait were sealed under the salt or master key before there was a keyring. */
async function resealWaitingKeys(em: SqlEntityManager, sealer: KeyedSealer, given: GivenKeys): Promise<void> {
  for (const { keyId, sealed } of await em.find(WaitingKey, {}, { disableIdentityMap: true })) {
    for (const former of givenSealers(given)) {
      try {
        const key = former.open(Buffer.from(sealed, "base64"));
        await em.nativeUpdate(WaitingKey, { keyId }, { sealed: Buffer.from(sealer.seal(key)).toString("base64") });
        break;
      } catch {
        // Sealed under a key that was given up since: it did not open before either.
      }
    }
  }
}

async function checkMasterKey(em: SqlEntityManager, master: GivenKey, now: Date, log: Logger): Promise<void> {
  const [rotation] = await em.execute<{ rotated_at: string | Date; old_until: string | Date }[]>(
    "select rotated_at, old_until from auth.master_key_rotation where old_hash = ?",
    [hashKey(master.secret.reveal())],
  );
  if (rotation === undefined) return;
  const [replaced, until] = [new Date(rotation.rotated_at), new Date(rotation.old_until)];
  if (until <= now) {
    throw new ConfigurationError(
      `The master key in ${master.place} was replaced on ${replaced.toISOString()}, and its grace period ended on ` +
        `${until.toISOString()}. Set ${master.place} to the new master key. Nothing was changed.`,
    );
  }
  log.warn("the master key was replaced; set the new one before the old one stops working", {
    place: master.place,
    replaced: replaced.toISOString(),
    until: until.toISOString(),
  });
}

/** The wrappings, read where no entities are known. */
async function storedWrappings(em: SqlEntityManager, now: Date): Promise<readonly Wrapping[]> {
  const rows = await em.execute<StoredWrapping[]>(
    "select wrapping_id, kind, wrapped, created_at, expires_at from auth.keyring order by created_at, wrapping_id",
  );
  return rows.map(({ wrapping_id, kind, wrapped, created_at, expires_at }) =>
    wrappingOf(
      {
        wrappingId: wrapping_id,
        kind,
        wrapped,
        createdAt: new Date(created_at),
        expiresAt: expires_at === null ? null : new Date(expires_at),
      },
      now,
    ),
  );
}

interface StoredWrapping {
  readonly wrapping_id: string;
  readonly kind: string;
  readonly wrapped: Uint8Array;
  readonly created_at: string | Date;
  readonly expires_at: string | Date | null;
}

/** What the router kept for itself before there was a keyring, and the migration takes over. */
async function formerWrapping(em: SqlEntityManager, now: Date): Promise<readonly Wrapping[]> {
  const rows = await em.execute<{ wrapped_key: Uint8Array }[]>(
    "select wrapped_key from router.state where wrapped_key is not null limit 1",
  );
  return rows.map(({ wrapped_key: wrapped }) => ({
    id: "",
    kind: "unknown",
    wrapped,
    createdAt: now,
    expiresAt: undefined,
  }));
}

async function hasTable(em: SqlEntityManager, name: string): Promise<boolean> {
  const [row] = await em.execute<{ found: boolean }[]>("select to_regclass(?) is not null as found", [name]);
  return row?.found === true;
}

function wrappingOf(row: KeyWrappingRow, now: Date): Wrapping {
  const { wrappingId: id, kind, wrapped, createdAt } = row;
  const expiresAt = row.expiresAt ?? undefined;
  const over = expiresAt !== undefined && expiresAt <= now;
  return { id, kind, wrapped: over ? new Uint8Array() : wrapped, createdAt, expiresAt };
}
