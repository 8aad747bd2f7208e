import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Client, ConnectError } from "@connectrpc/connect";
import { createNoopMeter } from "@opentelemetry/api";
import { callerHeaders, masterCaller } from "#chassis/caller-header.ts";
import { type Database, openDatabase } from "#chassis/database/database.ts";
import { findGatewayError } from "#chassis/errors.ts";
import type { EventBus } from "#chassis/events/bus.ts";
import { createInProcessBus } from "#chassis/events/in-process.ts";
import { createLogger } from "#chassis/log.ts";
import { createLocalClient } from "#chassis/rpc/local-client.ts";
import type { Secret } from "#chassis/secret.ts";
import type { HostedService } from "#chassis/service.ts";
import { startTestEmbedded } from "#chassis/testing/embedded.ts";
import { startTestPostgres } from "#chassis/testing/postgres.ts";
import type { AmountsSchema } from "#gen/sluice/accounting/v1/quota_pb.ts";
import { type Grant, QuotaService } from "#gen/sluice/accounting/v1/quota_service_pb.ts";
import {
  type SettlementSchema,
  type UsageRecorded,
  UsageRecordedSchema,
  UsageStatus,
} from "#gen/sluice/accounting/v1/spend_pb.ts";
import { SpendService } from "#gen/sluice/accounting/v1/spend_service_pb.ts";
import { type GatewayError, Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { ScopeLimitsSchema } from "#gen/sluice/inference/v1/limits_pb.ts";
import { CostState } from "#gen/sluice/inference/v1/usage_pb.ts";
import { AdminCallerSchema, Role } from "#gen/sluice/rest/v1/caller_pb.ts";
import { readEnv } from "../config.ts";
import { accountingSchema } from "../db/schema.ts";
import { createAccountingService } from "../service.ts";

/** A database server for one test file: the embedded one, or a real PostgreSQL. */
export interface Backend {
  readonly name: string;
  readonly url: Secret;
  stop(): Promise<void>;
}

/** The embedded database, and a real PostgreSQL where the machine has one. */
export async function startBackends(): Promise<Backend[]> {
  const [embedded, postgres] = await Promise.all([startTestEmbedded(), startTestPostgres()]);
  const backends: Backend[] = [{ name: "PGlite", url: embedded.url, stop: () => embedded.stop() }];
  if (postgres !== undefined) backends.push({ name: "PostgreSQL", url: postgres.url, stop: () => postgres.stop() });
  return backends;
}

export interface Accounting {
  readonly quota: Client<typeof QuotaService>;
  readonly spend: Client<typeof SpendService>;
  readonly database: Database;
  readonly events: EventBus;
  readonly service: HostedService;
  /** The time, which stands still unless a test moves it. */
  readonly time: { now: number };
  close(): Promise<void>;
}

/** A noon, far from every boundary of a window; recent enough for usage records. */
export const noon = Date.UTC(2026, 5, 10, 12);

/** One replica of the service. Replicas that share a database share nothing else. */
export async function startAccounting(url: Secret, time: { now: number } = { now: noon }): Promise<Accounting> {
  const log = createLogger("error", () => {});
  const database = await openDatabase({ url, log, ...accountingSchema });
  const events = createInProcessBus(log);
  const config = { ...readEnv({}), noticeIntervalMs: 5 };
  const context = { database, events, log, meter: createNoopMeter(), clock: () => time.now, config, thread: undefined };
  const service = await createAccountingService(context);
  const [quotaCode, spendCode] = service.implementations;
  if (quotaCode === undefined || spendCode === undefined) throw new Error("accounting serves two services");
  return {
    quota: createLocalClient(QuotaService, quotaCode.implementation),
    spend: createLocalClient(SpendService, spendCode.implementation),
    database,
    events,
    service,
    time,
    async close() {
      await service.close();
      await events.close();
      await database.close();
    },
  };
}

export type LimitsInit = MessageInitShape<typeof ScopeLimitsSchema>;
export type AmountsInit = MessageInitShape<typeof AmountsSchema>;

export interface LeaseOptions {
  readonly want?: AmountsInit;
  readonly partial?: boolean;
}

/** Leases one scope; a refusal is returned as its error. */
export async function tryLease(
  { quota }: Accounting,
  owner: string,
  limits: LimitsInit,
  need: AmountsInit,
  { want = need, partial = false }: LeaseOptions = {},
): Promise<Grant | ConnectError> {
  try {
    const { grants } = await quota.lease({ owner, scopes: [{ limits, need, want, partial }] });
    const [grant] = grants;
    if (grant === undefined) throw new Error("no grant");
    return grant;
  } catch (error) {
    if (error instanceof ConnectError && findGatewayError(error) !== undefined) return error;
    throw error;
  }
}

/** Leases one scope and expects a grant. */
export async function lease(
  accounting: Accounting,
  owner: string,
  limits: LimitsInit,
  need: AmountsInit,
  options: LeaseOptions = {},
): Promise<Grant> {
  const outcome = await tryLease(accounting, owner, limits, need, options);
  if (outcome instanceof ConnectError) throw outcome;
  return outcome;
}

const limitReasons: ReadonlySet<Reason> = new Set([Reason.BUDGET_EXCEEDED, Reason.RATE_LIMITED]);

/** Leases one scope and expects a refusal for this reason. */
export async function refused(
  accounting: Accounting,
  owner: string,
  limits: LimitsInit,
  need: AmountsInit,
  options: LeaseOptions = {},
): Promise<{ message: string; detail: GatewayError }> {
  const outcome = await tryLease(accounting, owner, limits, need, options);
  if (!(outcome instanceof ConnectError)) throw new Error("the lease was granted");
  const detail = findGatewayError(outcome);
  if (detail === undefined || !limitReasons.has(detail.reason)) throw outcome;
  return { message: outcome.rawMessage, detail };
}

/** Fields of a message, without the message itself: only those may be spread into another. */
type Fields<T> = Exclude<T, { $typeName: string }>;
export type UsageInit = Fields<MessageInitShape<typeof UsageRecordedSchema>>;
export type SettlementInit = Fields<MessageInitShape<typeof SettlementSchema>>;

/** Delivers usage records as the bus does. */
export function deliver({ events }: Pick<Accounting, "events">, records: readonly UsageRecorded[]): Promise<void> {
  return events.publishDurable(
    UsageRecordedSchema,
    records.map((record) => toBinary(UsageRecordedSchema, record)),
  );
}

/** The id of record `n` that was minted at a moment. */
export function recordId(ms: number, n: number): string {
  const time = ms.toString(16).padStart(12, "0");
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-${n.toString(16).padStart(12, "0")}`;
}

/** A usage record of a call that ended at a moment, cost `nanoUsd` and is charged to one scope. */
export function usage(
  n: number,
  ms: number,
  scope: string,
  nanoUsd: bigint,
  fields: UsageInit = {},
  settlement: SettlementInit = {},
): UsageRecorded {
  return create(UsageRecordedSchema, {
    recordId: recordId(ms, n),
    callId: `call-${n}`,
    operation: Operation.CHAT_COMPLETIONS,
    model: "gpt-4o",
    modelGroup: "gpt-4o",
    deployment: "deployment-1",
    provider: "openai",
    upstreamModel: "gpt-4o-2024-08-06",
    keyId: scope.replace("key:", ""),
    userId: "ann",
    tags: ["a", 'b"c', "d,e"],
    stream: true,
    status: UsageStatus.SUCCESS,
    usage: { inputTokens: 10n, outputTokens: 5n, cacheReadTokens: 3n, reasoningTokens: 2n },
    cost: { nanoUsd, state: CostState.PRICED },
    startedAt: timestampFromMs(ms - 1000),
    endedAt: timestampFromMs(ms),
    firstPayloadAt: timestampFromMs(ms - 500),
    leaseOwner: "owner",
    settlements: [{ scope, consumed: { nanoUsd, requests: 1n, tokens: 15n }, ...settlement }],
    finishReason: "stop",
    ...fields,
  });
}

export async function spendOf({ spend }: Accounting, scope: string): Promise<{ spent: bigint; reserved: bigint }> {
  const { spends } = await spend.getSpend({ scopes: [scope] });
  return { spent: spends[0]?.spentNanoUsd ?? -1n, reserved: spends[0]?.reservedNanoUsd ?? -1n };
}

export const asMaster = { headers: callerHeaders(masterCaller("0".repeat(64))) };
export const asVirtual = {
  headers: callerHeaders(create(AdminCallerSchema, { keyId: "1".repeat(64), roles: [Role.KEY] })),
};

/** A repeatable source of numbers from 0 to 1 (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
