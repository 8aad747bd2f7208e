import type { DescEnum } from "@bufbuild/protobuf";
import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { type Settlement, type UsageRecorded, UsageStatusSchema } from "#gen/sluice/accounting/v1/spend_pb.ts";
import { OperationSchema } from "#gen/sluice/inference/v1/inference_pb.ts";
import { type Cost, CostState, CostStateSchema } from "#gen/sluice/inference/v1/usage_pb.ts";
import { type Quantities, readAmounts } from "./amounts.ts";

/** What one call takes out of one scope. */
export interface Charge {
  readonly scope: string;
  readonly consumed: Quantities;
  readonly leasedAtMs: number | undefined;
  readonly leasedTokens: bigint | undefined;
}

/** A usage record that can be inserted as it is: a row, keyed by column, and what is charged with it. */
export interface ReadUsage {
  /** From the record id, in days since 1970. */
  readonly day: number;
  readonly recordId: string;
  readonly row: UsageRow;
  readonly charges: readonly Charge[];
  readonly leaseOwner: string;
  readonly costNanoUsd: bigint;
  readonly unpriced: boolean;
  readonly endedAtMs: number;
}

/** A row of the spend log. Null stands for nothing: no text, no tokens. */
export interface UsageRow {
  /**
   * What calls of one key to one model mostly have in common: the values of `contextColumns` in their order, and the scopes
   * that are charged the cost and the tokens, separated by NUL, which no value holds.
   */
  readonly context: string;
  readonly keyId: string;
  readonly callId: string;
  readonly startedAtMs: number;
  readonly firstPayloadAtMs: number | null;
  readonly inputTokens: bigint;
  readonly outputTokens: bigint;
  readonly cacheReadTokens: bigint | null;
  readonly cacheWriteTokens: bigint | null;
  readonly cacheWrite1hTokens: bigint | null;
  readonly reasoningTokens: bigint | null;
  readonly inputAudioTokens: bigint | null;
  readonly outputAudioTokens: bigint | null;
  readonly toolCalls: bigint | null;
  readonly endUser: string | null;
  /** JSON. */
  readonly tags: string | null;
  /** JSON: what each scope is charged, where that is not the cost and the tokens for all of them. */
  readonly settlements: string | null;
}

/** The columns that a context begins with. */
export const contextColumns = [
  "operation",
  "status",
  "model",
  "model_group",
  "deployment",
  "provider",
  "upstream_model",
  "key_id",
  "key_alias",
  "user_id",
  "team_id",
  "lease_owner",
  "finish_reason",
  "cost_state",
  "stream",
  "usage_estimated",
  "attempted_retries",
  "attempted_fallbacks",
] as const;

/** Why a record cannot become a row. */
export class UnreadableUsage extends Error {
  override readonly name = "UnreadableUsage";
  /** As it stands in the record; empty where that cannot be told. */
  readonly recordId: string;

  constructor(message: string, recordId = "") {
    super(message);
    this.recordId = recordId;
  }
}

const maxAgeMs = 400 * 86_400_000;
const maxAheadMs = 2 * 86_400_000;
const maxText = 1024;
const maxTags = 100;
const maxSettlements = 100;
/** A million dollars. */
const maxCallNano = 1_000_000_000_000_000n;
const maxCallCount = 1_000_000_000_000n;

/** Reads a usage record. Throws UnreadableUsage where it has no valid id, or values that no call can have. */
export function readUsage(event: UsageRecorded, nowMs: number): ReadUsage {
  const recordId = event.recordId.toLowerCase();
  const mintedAtMs = uuidv7Ms(recordId);
  if (mintedAtMs === undefined) throw new UnreadableUsage("the record id is not a UUIDv7");
  if (mintedAtMs < nowMs - maxAgeMs || mintedAtMs > nowMs + maxAheadMs) {
    throw new UnreadableUsage("the record id is older than 400 days or from the future");
  }
  const day = Math.floor(mintedAtMs / 86_400_000);
  const startedAtMs = readTime(event.startedAt, nowMs) ?? mintedAtMs;
  const endedAtMs = readTime(event.endedAt, nowMs) ?? startedAtMs;
  const firstPayloadAtMs = readTime(event.firstPayloadAt, nowMs);
  const costNanoUsd = readCost(event.cost);
  const charges = readCharges(event.settlements, nowMs);
  const leaseOwner = text(event.leaseOwner);
  return {
    day,
    recordId,
    charges,
    costNanoUsd,
    endedAtMs,
    leaseOwner,
    unpriced: event.cost?.state !== CostState.PRICED,
    row: rowOf(event, { startedAtMs, firstPayloadAtMs, costNanoUsd, charges, leaseOwner }),
  };
}

interface ReadParts extends Pick<ReadUsage, "leaseOwner" | "costNanoUsd" | "charges"> {
  readonly startedAtMs: number;
  readonly firstPayloadAtMs: number | undefined;
}

/** The row in two literals: every call makes them. */
function rowOf(event: UsageRecorded, read: ReadParts): UsageRow {
  const { usage, tags } = event;
  const keyId = text(event.keyId);
  const inputTokens = count(usage?.inputTokens);
  const outputTokens = count(usage?.outputTokens);
  const cacheReadTokens = count(usage?.cacheReadTokens);
  const cacheWriteTokens = count(usage?.cacheWriteTokens);
  const cacheWrite1hTokens = count(usage?.cacheWrite1hTokens);
  const tokens = inputTokens + outputTokens + cacheReadTokens + cacheWriteTokens + cacheWrite1hTokens;
  const isPlain = read.charges.every(
    ({ consumed }) => consumed.nanoUsd === read.costNanoUsd && consumed.tokens === tokens,
  );
  return {
    context: contextOf(event, keyId, read.leaseOwner, isPlain ? read.charges : []),
    keyId,
    callId: text(event.callId),
    startedAtMs: read.startedAtMs,
    firstPayloadAtMs: read.firstPayloadAtMs ?? null,
    inputTokens,
    outputTokens,
    cacheReadTokens: orNull(cacheReadTokens),
    cacheWriteTokens: orNull(cacheWriteTokens),
    cacheWrite1hTokens: orNull(cacheWrite1hTokens),
    reasoningTokens: orNull(count(usage?.reasoningTokens)),
    inputAudioTokens: orNull(count(usage?.inputAudioTokens)),
    outputAudioTokens: orNull(count(usage?.outputAudioTokens)),
    toolCalls: orNull(count(usage?.toolCalls)),
    endUser: event.endUser === "" ? null : text(event.endUser),
    tags: tags.length === 0 ? null : JSON.stringify(tags.slice(0, maxTags).map(text)),
    settlements: isPlain ? null : JSON.stringify(read.charges.map(settlementColumn)),
  };
}

/** In the order of `contextColumns`. */
function contextOf(event: UsageRecorded, keyId: string, leaseOwner: string, charges: readonly Charge[]): string {
  const operation = enumName(OperationSchema, event.operation);
  const status = enumName(UsageStatusSchema, event.status);
  const costState = enumName(CostStateSchema, event.cost?.state ?? CostState.UNSPECIFIED);
  const models = `${text(event.model)}\0${text(event.modelGroup)}\0${text(event.deployment)}\0${text(event.provider)}\0${text(event.upstreamModel)}`;
  const callers = `${keyId}\0${text(event.keyAlias)}\0${text(event.userId)}\0${text(event.teamId)}\0${leaseOwner}`;
  const attempts = `${Math.min(event.attemptedRetries, maxText)}\0${Math.min(event.attemptedFallbacks, maxText)}`;
  const flags = `${event.stream}\0${event.usage?.estimated ?? false}`;
  let context = `${operation}\0${status}\0${models}\0${callers}\0${text(event.finishReason)}\0${costState}\0${flags}\0${attempts}`;
  for (const { scope } of charges) context += `\0${scope}`;
  return context;
}

function settlementColumn({ scope, consumed }: Charge): Record<string, string> {
  return { scope, nano_usd: String(consumed.nanoUsd), tokens: String(consumed.tokens) };
}

function readCost(cost: Cost | undefined): bigint {
  if (cost?.state !== CostState.PRICED) return 0n;
  if (cost.nanoUsd < 0n || cost.nanoUsd > maxCallNano) throw new UnreadableUsage("the cost is negative or absurd");
  return cost.nanoUsd;
}

function readCharges(settlements: readonly Settlement[], nowMs: number): Charge[] {
  if (settlements.length > maxSettlements) throw new UnreadableUsage("too many settlements");
  const charges = settlements.map((settlement) => {
    const consumed = readAmounts(settlement.consumed);
    const { scope, leasedTokens } = settlement;
    if (consumed === undefined || consumed.nanoUsd > maxCallNano || consumed.tokens > maxCallCount) {
      throw new UnreadableUsage("a settlement is negative or absurd");
    }
    if (leasedTokens !== undefined && leasedTokens > maxCallCount)
      throw new UnreadableUsage("leased tokens are absurd");
    if (scope === "" || scope !== text(scope)) throw new UnreadableUsage("a settlement names no proper scope");
    return { scope, consumed, leasedAtMs: readTime(settlement.leasedAt, nowMs), leasedTokens };
  });
  if (charges.length > 1 && new Set(charges.map((charge) => charge.scope)).size < charges.length) {
    throw new UnreadableUsage("a scope is settled twice");
  }
  return charges;
}

/** Undefined where the time is absent or absurd: the id has one too, and no time is worth a charge. */
function readTime(timestamp: Timestamp | undefined, nowMs: number): number | undefined {
  if (timestamp === undefined) return undefined;
  const ms = timestampMs(timestamp);
  return ms > nowMs - 2 * maxAgeMs && ms < nowMs + maxAheadMs ? ms : undefined;
}

function count(value: bigint | undefined): bigint {
  if (value !== undefined && value > maxCallCount) throw new UnreadableUsage("a token count is absurd");
  return value ?? 0n;
}

function orNull(value: bigint): bigint | null {
  return value === 0n ? null : value;
}

/** What PostgreSQL can store: no NUL, no lone surrogate, and not more than a name can need. */
function text(value: string): string {
  const cut = value.length > maxText ? value.slice(0, maxText) : value;
  const whole = cut.isWellFormed() ? cut : cut.toWellFormed();
  return whole.includes("\0") ? whole.replaceAll("\0", "\uFFFD") : whole;
}

/** The name of an enum value in lower case; its number where it is not known yet. */
function enumName(schema: DescEnum, value: number): string {
  return (schema.value[value]?.localName ?? String(value)).toLowerCase();
}

/** The timestamp inside a UUIDv7, or undefined where the text is none. */
export function uuidv7Ms(id: string): number | undefined {
  if (!/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(id)) return undefined;
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
}
