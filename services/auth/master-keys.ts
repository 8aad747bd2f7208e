import { timingSafeEqual } from "node:crypto";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import type { Database } from "#chassis/database/database.ts";
import type { Secret } from "#chassis/secret.ts";
import { MasterKeyRotation, type MasterKeyRotationRow } from "./db/entities.ts";

/** The master key that a process was started with. */
export interface ConfiguredMasterKey {
  /** SHA-256 of it, lowercase hex. */
  readonly hash: string;
  /** Writes a new one to where this one came from; absent where a person keeps it. */
  readonly keep?: ((key: Secret) => Promise<void>) | undefined;
}

/** A master key that is accepted. */
export interface AcceptedMasterKey {
  /** Undefined means for as long as nobody replaces it. */
  readonly until: Date | undefined;
}

/**
 * The master keys that one process accepts: the one it was started with, until it was replaced and its grace is over, and
 * whatever has taken its place since. What was before the one it was started with is not accepted.
 */
export interface MasterKeys {
  readonly configured: ConfiguredMasterKey | undefined;
  /** The hash of the newest one. */
  readonly current: string | undefined;
  /** Undefined for any other hash. Rejects as the database does, where nothing is known yet. */
  accepted(keyHash: string, now: Date): Promise<AcceptedMasterKey | undefined>;
  /** Reads the rotations that any process has made until now. */
  refresh(em?: SqlEntityManager): Promise<void>;
  /** Reads them where one of these hashes is a master key that was not known: one question for all of them. */
  learn(em: SqlEntityManager, keyHashes: readonly string[]): Promise<void>;
}

export function createMasterKeys(database: Database, configured: ConfiguredMasterKey | undefined): MasterKeys {
  let chain: ReadonlyMap<string, AcceptedMasterKey> | undefined;
  const read = async (em: SqlEntityManager) => {
    chain = chainFrom(configured?.hash, await em.find(MasterKeyRotation, {}));
    return chain;
  };
  return {
    configured,
    get current() {
      return [...(chain?.keys() ?? [])].at(-1) ?? configured?.hash;
    },
    async accepted(keyHash, now) {
      if (configured === undefined) return undefined;
      const found = findEqual(chain ?? (await read(database.em())), keyHash);
      return found?.until === undefined || found.until > now ? found : undefined;
    },
    async refresh(em = database.em()) {
      await read(em);
    },
    async learn(em, keyHashes) {
      if (configured === undefined) return;
      const known = chain ?? (await read(em));
      const rotated = await em.find(MasterKeyRotation, { newHash: { $in: [...keyHashes] } });
      if (rotated.some(({ newHash }) => !known.has(newHash))) await read(em);
    },
  };
}

/** In a time that does not tell how much of a hash was right. */
function findEqual(chain: ReadonlyMap<string, AcceptedMasterKey>, keyHash: string): AcceptedMasterKey | undefined {
  const given = Buffer.from(keyHash);
  let found: AcceptedMasterKey | undefined;
  for (const [hash, accepted] of chain) {
    const known = Buffer.from(hash);
    if (known.length === given.length && timingSafeEqual(known, given)) found = accepted;
  }
  return found;
}

function chainFrom(start: string | undefined, rows: readonly MasterKeyRotationRow[]): Map<string, AcceptedMasterKey> {
  const byOld = new Map(rows.map((row) => [row.oldHash, row]));
  const chain = new Map<string, AcceptedMasterKey>();
  for (let hash = start; hash !== undefined && !chain.has(hash); hash = byOld.get(hash)?.newHash) {
    chain.set(hash, { until: byOld.get(hash)?.oldUntil });
  }
  return chain;
}
