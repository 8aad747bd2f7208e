import { create } from "@bufbuild/protobuf";
import { LockMode } from "@mikro-orm/core";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { setActor } from "#chassis/audit/actor.ts";
import { addDuration, parseDuration } from "#chassis/duration.ts";
import { Secret } from "#chassis/secret.ts";
import { KeySettingsSchema } from "#gen/sluice/auth/v1/key_pb.ts";
import { AdminCallerSchema } from "#gen/sluice/rest/v1/caller_pb.ts";
import { type Changed, change, touch } from "./change.ts";
import type { RouteContext } from "./context.ts";
import { RetiredKey, VirtualKey, type VirtualKeyRow, WaitingKey } from "./db/entities.ts";
import { rotationDue } from "./key-input.ts";
import { keyTaken, requireFreeKey } from "./key-making.ts";
import { scopeOf } from "./scope.ts";
import { copySpend } from "./scope-spend.ts";
import { hashKey, mintKey, nameOf } from "./secret-key.ts";
import { readDoc } from "./stored-doc.ts";

/** How long a key works on that was replaced without anybody asking for it: its holder has to learn of the new one. */
const usualGrace = "24h";

const batchSize = 100;

/** Who is said to have replaced keys that were due. */
const scheduler = create(AdminCallerSchema, { userId: "key-rotation", operation: "key-rotation" });

/**
 * Gives a locked key, whose changes are written, a new hash. The old one stands for it until `graceUntil`, if at all, and
 * so do those that were replaced before.
 *
 * @returns the row as it is now.
 * @throws CONFLICT where the new key exists already.
 */
export async function replaceKey(
  context: RouteContext,
  em: SqlEntityManager,
  row: VirtualKeyRow,
  key: string,
  graceUntil: Date | undefined,
): Promise<{ readonly row: VirtualKeyRow; readonly changed: readonly Changed[] }> {
  const now = new Date(context.clock());
  const old = row.keyId;
  const replaced: VirtualKeyRow = {
    ...row,
    keyId: hashKey(key),
    keyName: nameOf(key),
    rotationCount: row.rotationCount + 1,
    rotatedAt: now,
    rotateAt: rotationDue(readDoc(KeySettingsSchema, row.doc), now),
  };
  const { keyId, keyName, rotationCount, rotatedAt, rotateAt } = replaced;
  await requireFreeKey(context, em, keyId);
  await em
    .nativeUpdate(VirtualKey, { keyId: old }, { keyId, keyName, rotationCount, rotatedAt, rotateAt })
    .catch((error: unknown) => {
      throw keyTaken(error, "");
    });
  await em.nativeUpdate(RetiredKey, { keyId: old }, { keyId });
  await em.nativeDelete(WaitingKey, { keyId: old });
  if (graceUntil !== undefined) await em.insert(RetiredKey, { retiredKeyId: old, keyId, expiresAt: graceUntil });
  return {
    row: replaced,
    changed: [
      { scope: scopeOf.key(old), action: "rotated" },
      { scope: scopeOf.key(keyId), action: "created" },
    ],
  };
}

/**
 * Replaces keys that are due, now and then. Every replica looks; a key is locked by one of them. The new key waits, sealed,
 * until somebody collects it (docs/decisions/2026-11-21-scheduled-rotation.md).
 */
export function startRotation(context: RouteContext): { stop(): Promise<void> } {
  const { enabled, intervalMs } = context.config.rotation;
  const state: { running: Promise<void> } = { running: Promise.resolve() };
  if (!enabled) return { stop: () => state.running };
  const timer = setInterval(() => {
    state.running = state.running.then(() => rotateDueKeys(context));
  }, intervalMs).unref();
  return {
    stop() {
      clearInterval(timer);
      return state.running;
    },
  };
}

/** Replaces the keys that are due, and forgets replaced keys whose grace has ended. Never rejects. */
export async function rotateDueKeys(context: RouteContext): Promise<void> {
  const { database, telemetry, clock } = context;
  try {
    const now = new Date(clock());
    const due = await database
      .em()
      .find(
        VirtualKey,
        { rotateAt: { $lte: now }, $or: [{ expiresAt: null }, { expiresAt: { $gt: now } }] },
        { fields: ["keyId"], orderBy: { rotateAt: "asc" }, limit: batchSize },
      );
    for (const { keyId } of due) await rotateOne(context, keyId);
    await database.transaction(async (em) => {
      await setActor(em, scheduler);
      await em.nativeDelete(RetiredKey, { expiresAt: { $lt: now } });
    });
  } catch (error) {
    telemetry.rotationFailed(error);
  }
}

async function rotateOne(context: RouteContext, keyId: string): Promise<void> {
  const { config, clock, keyring, telemetry } = context;
  const now = new Date(clock());
  const key = mintKey(config.keyBytes);
  const newId = hashKey(key);
  try {
    // What is stored is sealed under the keyring, and nothing else.
    if (!keyring.isOpen) await keyring.refresh();
    // Outside of the transaction: accounting may be on the other side of the same database.
    await copySpend(context, scopeOf.key(keyId), scopeOf.key(newId));
    await change(context, scheduler, async (em) => {
      const lock = { lockMode: LockMode.PESSIMISTIC_PARTIAL_WRITE } as const;
      const row = await em.findOne(VirtualKey, { keyId, rotateAt: { $lte: now } }, lock);
      if (row === null) return { result: undefined, changed: [] };
      touch(row, scheduler, now);
      await em.flush();
      const graceUntil = addDuration(now, parseDuration(config.rotation.grace ?? usualGrace));
      const { changed } = await replaceKey(context, em, row, key, graceUntil);
      const sealed = Buffer.from(keyring.seal(new Secret(key))).toString("base64");
      await em.insert(WaitingKey, { keyId: newId, sealed });
      return { result: undefined, changed };
    });
  } catch (error) {
    telemetry.rotationFailed(error);
  }
}
