import { create } from "@bufbuild/protobuf";
import { LockMode } from "@mikro-orm/core";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { PrincipalChangedSchema } from "#gen/sluice/auth/v1/principal_pb.ts";
import type { AuthContext } from "./context.ts";
import { Outbox, RetiredKey } from "./db/entities.ts";
import type { AuthTelemetry } from "./events.ts";
import { keyOfScope, scopeOf } from "./scope.ts";

/** Announces what has changed once the change is committed, and not if it is not. */
export interface Announcer {
  /** Notes changed scopes, in the transaction that changes them. */
  note(em: SqlEntityManager, scopes: readonly string[]): Promise<void>;
  /** Sends what was noted and committed. Resolves after one try; where that fails, more follow. Never rejects. */
  announce(): Promise<void>;
  close(): Promise<void>;
}

const batchSize = 100;
/** A row is one event, and an event bus takes no message of a megabyte. */
const rowSize = 1000;

/** Every replica sends what it finds; a row is locked by one of them at a time and removed once it was sent. */
export function createAnnouncer(context: AuthContext, telemetry: AuthTelemetry): Announcer {
  const { database, events, config } = context;
  const state: { running: Promise<void> | undefined; again: boolean; closed: boolean; timer?: NodeJS.Timeout } = {
    running: undefined,
    again: false,
    closed: false,
  };

  /** Whether there may be more. */
  async function sendBatch(): Promise<boolean> {
    if (!events.connected) throw new Error("the event bus is not connected");
    return database.transaction(async (em) => {
      const rows = await em.find(Outbox, {}, { limit: batchSize, lockMode: LockMode.PESSIMISTIC_PARTIAL_WRITE });
      if (rows.length === 0) return false;
      await em.nativeDelete(Outbox, { id: { $in: rows.map(({ id }) => id) } });
      for (const { keyIds, scopes } of rows) {
        events.publish(PrincipalChangedSchema, create(PrincipalChangedSchema, { keyIds, scopes }));
      }
      return rows.length === batchSize;
    });
  }

  async function run(): Promise<void> {
    try {
      do {
        state.again = false;
        while (await sendBatch());
      } while (state.again);
    } catch (error) {
      telemetry.announcementFailed(error);
      if (!state.closed) state.timer = setTimeout(announce, config.announceRetryMs).unref();
    } finally {
      state.running = undefined;
    }
  }

  async function announce(): Promise<void> {
    if (state.closed) return;
    clearTimeout(state.timer);
    state.again = true;
    state.running ??= run();
    await state.running;
  }

  return {
    note: noteScopes,
    announce,
    async close() {
      state.closed = true;
      clearTimeout(state.timer);
      await state.running;
    },
  };
}

/** Notes changed scopes, in the transaction that changes them. Whoever announces next sends them. */
export async function noteScopes(em: SqlEntityManager, changed: readonly string[]): Promise<void> {
  const scopes = [...changed, ...(await retiredScopes(em, changed))];
  const rows = [];
  for (let from = 0; from < scopes.length; from += rowSize) rows.push(split(scopes.slice(from, from + rowSize)));
  await em.insertMany(Outbox, rows);
}

/** Hashes that still stand for changed keys: edges know the keys by these too. */
async function retiredScopes(em: SqlEntityManager, scopes: readonly string[]): Promise<string[]> {
  const keyIds = scopes.flatMap((scope) => keyOfScope(scope) ?? []);
  if (keyIds.length === 0) return [];
  const rows = await em.find(RetiredKey, { keyId: { $in: keyIds } });
  return rows.map(({ retiredKeyId }) => scopeOf.key(retiredKeyId));
}

function split(scopes: readonly string[]) {
  return {
    keyIds: scopes.flatMap((scope) => keyOfScope(scope) ?? []),
    scopes: scopes.filter((scope) => keyOfScope(scope) === undefined),
  };
}
