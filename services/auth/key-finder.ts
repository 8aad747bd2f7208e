import type { Database } from "#chassis/database/database.ts";
import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { LoginSession, RetiredKey, User, VirtualKey, type VirtualKeyRow } from "./db/entities.ts";
import type { MasterKeys } from "./master-keys.ts";
import { tokenRow } from "./tokens/token-row.ts";

export interface FoundKey {
  readonly key: VirtualKeyRow;
  /** When the hash that was presented stops working, where the key was replaced meanwhile; see `RetiredKey`. */
  readonly retiredUntil: Date | undefined;
}

/**
 * Finds a key by its hash, or the session of a login by its; null where nothing has it. Rejects as the database does, and with the reason of the signal
 * where that fires before its turn.
 */
export type KeyFinder = (keyHash: string, signal: AbortSignal) => Promise<FoundKey | null>;

interface Waiting {
  readonly keyHash: string;
  readonly signal: AbortSignal;
  readonly resolve: (found: FoundKey | null) => void;
  readonly reject: (error: unknown) => void;
}

const maxWaiting = 10_000;
const maxBatch = 500;
const maxQuestions = 4;

/**
 * A key that comes while all questions run waits and is asked for together with the others that wait: a flood of keys
 * that nobody knows costs a few hundred queries a second, however large it is. A question never answers for a key that
 * came after it was asked, so that a change that is committed is seen.
 */
export function createKeyFinder(database: Database, masterKeys: Pick<MasterKeys, "learn">): KeyFinder {
  const waiting: Waiting[] = [];
  const state = { questions: 0 };

  function pump(): void {
    while (state.questions < maxQuestions && waiting.length > 0) {
      state.questions += 1;
      void answer(database, masterKeys, waiting.splice(0, maxBatch)).then(() => {
        state.questions -= 1;
        pump();
      });
    }
  }

  return (keyHash, signal) => {
    if (waiting.length >= maxWaiting) {
      const busy = gatewayError(Reason.UNAVAILABLE, "Too many keys wait to be checked. Try again.", {
        retryAfterMs: 1000,
      });
      return Promise.reject(busy);
    }
    return new Promise((resolve, reject) => {
      waiting.push({ keyHash, signal, resolve, reject });
      // Keys that come at the same moment go together.
      queueMicrotask(pump);
    });
  };
}

async function answer(
  database: Database,
  masterKeys: Pick<MasterKeys, "learn">,
  taken: readonly Waiting[],
): Promise<void> {
  const batch = taken.filter(({ signal }) => !signal.aborted);
  for (const { signal, reject } of taken) if (signal.aborted) reject(signal.reason);
  if (batch.length === 0) return;
  try {
    const found = await findKeys(database, masterKeys, [...new Set(batch.map(({ keyHash }) => keyHash))]);
    for (const { keyHash, resolve } of batch) resolve(found.get(keyHash) ?? null);
  } catch (error) {
    for (const { reject } of batch) reject(error);
  }
}

async function findKeys(
  database: Database,
  masterKeys: Pick<MasterKeys, "learn">,
  keyHashes: readonly string[],
): Promise<Map<string, FoundKey>> {
  const em = database.em();
  const keys = await em.find(VirtualKey, { keyId: { $in: [...keyHashes] } });
  const found = new Map<string, FoundKey>(keys.map((key) => [key.keyId, { key, retiredUntil: undefined }]));
  const missing = keyHashes.filter((keyHash) => !found.has(keyHash));
  if (missing.length === 0) return found;
  for (const key of await findSessions(database, missing)) found.set(key.keyId, { key, retiredUntil: undefined });
  const retired = await em.find(RetiredKey, { retiredKeyId: { $in: missing } });
  if (retired.length < missing.length) await masterKeys.learn(em, missing);
  if (retired.length === 0) return found;
  const successors = await em.find(VirtualKey, { keyId: { $in: retired.map(({ keyId }) => keyId) } });
  const byId = new Map(successors.map((key) => [key.keyId, key]));
  for (const { retiredKeyId, keyId, expiresAt } of retired) {
    const key = byId.get(keyId);
    if (key !== undefined) found.set(retiredKeyId, { key, retiredUntil: expiresAt });
  }
  return found;
}

/** Sessions as keys of their users. One of a user who is no more is none, also where somebody new has got the id. */
async function findSessions(database: Database, hashes: readonly string[]): Promise<VirtualKeyRow[]> {
  const em = database.em();
  const sessions = await em.find(LoginSession, { sessionHash: { $in: [...hashes] } });
  if (sessions.length === 0) return [];
  const users = await em.find(User, { userId: { $in: sessions.map(({ userId }) => userId) } });
  const since = new Map(users.map(({ userId, createdAt }) => [userId, createdAt.getTime()]));
  return sessions
    .filter(({ userId, createdAt }) => createdAt.getTime() >= (since.get(userId) ?? Number.POSITIVE_INFINITY))
    .map(({ sessionHash, userId, expiresAt }) => tokenRow({ keyId: sessionHash, userId, teamId: "", expiresAt }));
}
