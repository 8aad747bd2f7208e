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
  /** `YYYY-MM-DD`, from the record id. */
  readonly day: string;
  readonly recordId: string;
  readonly row: UsageRow;
  readonly charges: readonly Charge[];
  readonly leaseOwner: string;
  readonly costNanoUsd: bigint;
  readonly unpriced: boolean;
  readonly endedAtMs: number;
}

/** A row of the spend log, keyed by column, in two parts. */
export interface UsageRow {
  /** What calls of one key to one model mostly have in common. A batch sends it to the database once. */
  readonly common: Readonly<Record<string, RowValue>>;
  /** What every call has for itself. */
  readonly own: Readonly<Record<string, RowValue>>;
}

type RowValue = string | number | boolean | null | readonly string[] | readonly Readonly<Record<string, string>>[];

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
  const day = isoTime(mintedAtMs).slice(0, 10);
  const startedAtMs = readTime(event.startedAt, nowMs) ?? mintedAtMs;
  const endedAtMs = readTime(event.endedAt, nowMs) ?? startedAtMs;
  const firstPayloadAtMs = readTime(event.firstPayloadAt, nowMs);
  const costNanoUsd = readCost(event.cost);
  const charges = readCharges(event.settlements, nowMs);
  return {
    day,
    recordId,
    charges,
    costNanoUsd,
    endedAtMs,
    leaseOwner: text(event.leaseOwner),
    unpriced: event.cost?.state !== CostState.PRICED,
    row: rowOf(event, { day, recordId, startedAtMs, endedAtMs, firstPayloadAtMs, costNanoUsd, charges }),
  };
}

interface ReadParts extends Pick<ReadUsage, "day" | "recordId" | "endedAtMs" | "costNanoUsd" | "charges"> {
  readonly startedAtMs: number;
  readonly firstPayloadAtMs: number | undefined;
}

/** The row in two literals: every call makes them. */
function rowOf(event: UsageRecorded, read: ReadParts): UsageRow {
  const { usage, tags } = event;
  return {
    common: {
      day: read.day,
      operation: enumName(OperationSchema, event.operation),
      status: enumName(UsageStatusSchema, event.status),
      model: text(event.model),
      model_group: text(event.modelGroup),
      deployment: text(event.deployment),
      provider: text(event.provider),
      upstream_model: text(event.upstreamModel),
      key_id: text(event.keyId),
      key_alias: text(event.keyAlias),
      user_id: text(event.userId),
      team_id: text(event.teamId),
      end_user: text(event.endUser),
      lease_owner: text(event.leaseOwner),
      finish_reason: text(event.finishReason),
      tags: tags.length === 0 ? tags : tags.slice(0, maxTags).map(text),
      stream: event.stream,
      input_audio_tokens: count(usage?.inputAudioTokens),
      output_audio_tokens: count(usage?.outputAudioTokens),
      tool_calls: count(usage?.toolCalls),
      usage_estimated: usage?.estimated ?? false,
      cost_state: enumName(CostStateSchema, event.cost?.state ?? CostState.UNSPECIFIED),
      attempted_retries: Math.min(event.attemptedRetries, maxText),
      attempted_fallbacks: Math.min(event.attemptedFallbacks, maxText),
    },
    own: {
      record_id: read.recordId,
      call_id: text(event.callId),
      input_tokens: count(usage?.inputTokens),
      output_tokens: count(usage?.outputTokens),
      cache_read_tokens: count(usage?.cacheReadTokens),
      cache_write_tokens: count(usage?.cacheWriteTokens),
      cache_write_1h_tokens: count(usage?.cacheWrite1hTokens),
      reasoning_tokens: count(usage?.reasoningTokens),
      cost_nano_usd: String(read.costNanoUsd),
      started_at: isoTime(read.startedAtMs),
      ended_at: isoTime(read.endedAtMs),
      first_payload_at: read.firstPayloadAtMs === undefined ? null : isoTime(read.firstPayloadAtMs),
      settlements: read.charges.map(settlementColumn),
    },
  };
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

function count(value: bigint | undefined): string {
  if (value !== undefined && value > maxCallCount) throw new UnreadableUsage("a token count is absurd");
  return value === undefined || value === 0n ? "0" : String(value);
}

/** What PostgreSQL can store: no NUL, no lone surrogate, and not more than a name can need. */
function text(value: string): string {
  const cut = value.length > maxText ? value.slice(0, maxText) : value;
  const whole = cut.isWellFormed() ? cut : cut.toWellFormed();
  return whole.includes("\0") ? whole.replaceAll("\0", "\uFFFD") : whole;
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
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
