import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { create, type JsonObject } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import { callerHeaders, masterCaller } from "#chassis/caller-header.ts";
import { type Database, openDatabase } from "#chassis/database/database.ts";
import { findGatewayError } from "#chassis/errors.ts";
import type { EventBus } from "#chassis/events/bus.ts";
import { createInProcessBus } from "#chassis/events/in-process.ts";
import { createLogger } from "#chassis/log.ts";
import type { Secret } from "#chassis/secret.ts";
import type { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { AdminCallerSchema, Role } from "#gen/sluice/rest/v1/caller_pb.ts";
import { routerSchema } from "../db/schema.ts";
import { type Harness, type HarnessOptions, startRouter } from "./router-harness.ts";
import { createScriptedAdapter, type ScriptedAdapter, type Step } from "./scripted-adapter.ts";

const log = createLogger("error", () => {});

/** A router on a database of its own kind, with a scripted adapter behind it. */
export interface ModelStage extends Harness {
  readonly database: Database;
  readonly adapter: ScriptedAdapter;
  readonly events: EventBus;
  close(): Promise<void>;
}

export interface ModelStageOptions extends Partial<Omit<HarnessOptions, "adapter" | "store">> {
  readonly script?: Readonly<Record<string, readonly Step[]>>;
  /** Shared by routers that hear each other. */
  readonly events?: EventBus;
}

export async function startModelStage(url: Secret, options: ModelStageOptions = {}): Promise<ModelStage> {
  const database = await openDatabase({ url, ...routerSchema, poolSize: 4, log });
  const adapter = createScriptedAdapter(options.script ?? {});
  const events = options.events ?? createInProcessBus(log);
  const harness = await startRouter({ ...options, adapter, store: { open: async () => database, events } });
  return {
    ...harness,
    database,
    adapter,
    events,
    async close() {
      await harness.service.close();
      await database.close();
    },
  };
}

/** Empties the schema between tests. */
export async function clearModels(database: Database): Promise<void> {
  await database.em().execute("delete from router.deployment");
  await database.em().execute("delete from router.credential");
  await database.em().execute("delete from router.health_check");
  await database.em().execute("update router.state set revision = revision + 1, checked_at = null");
}

/** The call options of the master key. */
export const asMaster = { headers: callerHeaders(masterCaller("f".repeat(64))) };

type CallerFields = { readonly [K in "userId" | "teamId"]?: string } & {
  readonly [K in "teamIds" | "adminTeamIds"]?: string[];
};

/** The call options of somebody else. */
export function as(roles: readonly Role[], fields: CallerFields = {}) {
  return {
    headers: callerHeaders(
      create(AdminCallerSchema, { keyId: "a".repeat(64), roles: [...roles, Role.KEY], ...fields }),
    ),
  };
}

export function json(value: unknown): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(JSON.stringify(value));
}

export function parse(bytes: Uint8Array | undefined): JsonObject {
  return JSON.parse(Buffer.from(bytes ?? []).toString());
}

/** Whether an error of the gateway was thrown that says so, names the parameter, and tells no secret of the tests. */
export function fails(reason: Reason, said: RegExp, param?: string) {
  return (thrown: unknown) => {
    const error = ConnectError.from(thrown);
    const detail = findGatewayError(error);
    assert.equal(detail?.reason, reason, error.message);
    assert.match(error.message, said);
    if (param !== undefined) assert.equal(detail?.param, param);
    assert.doesNotMatch(error.message, /canary/);
    return true;
  };
}

/** Waits for a condition. */
export async function until(ms: number, condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + ms;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`not within ${ms} ms`);
    await sleep(20);
  }
}
