import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { WireWriter } from "#chassis/wire/wire-writer.ts";
import type { Amounts } from "#gen/sluice/accounting/v1/quota_pb.ts";
import type { Settlement, UsageRecorded } from "#gen/sluice/accounting/v1/spend_pb.ts";
import type { Cost, Usage } from "#gen/sluice/inference/v1/usage_pb.ts";

/**
 * Writes a `UsageRecorded` in protobuf's format, the record id first, as `writeMessage` does in half as long again: every call
 * writes two. The test compares records with random values in all fields of the descriptor.
 */
export function writeUsageRecord(to: WireWriter, record: UsageRecorded): void {
  text(to, 1, record.recordId);
  text(to, 2, record.callId);
  uint(to, 3, record.operation);
  text(to, 4, record.model);
  text(to, 5, record.modelGroup);
  text(to, 6, record.deployment);
  text(to, 7, record.provider);
  text(to, 8, record.upstreamModel);
  text(to, 9, record.keyId);
  text(to, 10, record.keyAlias);
  text(to, 11, record.userId);
  text(to, 12, record.teamId);
  text(to, 13, record.endUser);
  for (const tag of record.tags) {
    to.varint(lengthDelimited(14));
    to.text(tag);
  }
  if (record.stream) uint(to, 15, 1);
  uint(to, 16, record.status);
  if (record.usage !== undefined) writeUsage(to, 17, record.usage);
  if (record.cost !== undefined) writeCost(to, 18, record.cost);
  if (record.startedAt !== undefined) writeTimestamp(to, 19, record.startedAt);
  if (record.endedAt !== undefined) writeTimestamp(to, 20, record.endedAt);
  if (record.firstPayloadAt !== undefined) writeTimestamp(to, 21, record.firstPayloadAt);
  text(to, 22, record.leaseOwner);
  for (const settlement of record.settlements) writeSettlement(to, 23, settlement);
  text(to, 24, record.finishReason);
  uint(to, 25, record.attemptedRetries);
  uint(to, 26, record.attemptedFallbacks);
}

/** The same as bytes of its own. */
export function encodeUsageRecord(to: WireWriter, record: UsageRecorded): Buffer {
  const mark = to.mark();
  try {
    writeUsageRecord(to, record);
  } catch (error) {
    to.rewind(mark);
    throw error;
  }
  return to.take();
}

function writeUsage(to: WireWriter, field: number, usage: Usage): void {
  const mark = open(to, field);
  bigint(to, 1, usage.inputTokens);
  bigint(to, 2, usage.outputTokens);
  bigint(to, 3, usage.cacheReadTokens);
  bigint(to, 4, usage.cacheWriteTokens);
  bigint(to, 5, usage.cacheWrite1hTokens);
  bigint(to, 6, usage.reasoningTokens);
  bigint(to, 7, usage.inputAudioTokens);
  bigint(to, 8, usage.outputAudioTokens);
  bigint(to, 9, usage.toolCalls);
  if (usage.estimated) uint(to, 10, 1);
  to.close(mark);
}

function writeCost(to: WireWriter, field: number, cost: Cost): void {
  const mark = open(to, field);
  bigint(to, 1, cost.nanoUsd);
  uint(to, 2, cost.state);
  to.close(mark);
}

function writeTimestamp(to: WireWriter, field: number, timestamp: Timestamp): void {
  const mark = open(to, field);
  bigint(to, 1, timestamp.seconds);
  if (timestamp.nanos !== 0) {
    to.varint(2 << 3);
    to.int32(timestamp.nanos);
  }
  to.close(mark);
}

function writeSettlement(to: WireWriter, field: number, settlement: Settlement): void {
  const mark = open(to, field);
  text(to, 1, settlement.scope);
  if (settlement.consumed !== undefined) writeAmounts(to, 2, settlement.consumed);
  if (settlement.leasedAt !== undefined) writeTimestamp(to, 3, settlement.leasedAt);
  if (settlement.leasedTokens !== undefined) wholeNumber(to, 4, settlement.leasedTokens);
  to.close(mark);
}

function writeAmounts(to: WireWriter, field: number, amounts: Amounts): void {
  const mark = open(to, field);
  bigint(to, 1, amounts.nanoUsd);
  bigint(to, 2, amounts.requests);
  bigint(to, 3, amounts.tokens);
  bigint(to, 4, amounts.parallel);
  to.close(mark);
}

function lengthDelimited(field: number): number {
  return (field << 3) | 2;
}

/** Begins a message in a message; `close` takes what it returns. */
function open(to: WireWriter, field: number): number {
  to.varint(lengthDelimited(field));
  return to.open();
}

function text(to: WireWriter, field: number, value: string): void {
  if (value === "") return;
  to.varint(lengthDelimited(field));
  to.text(value);
}

function uint(to: WireWriter, field: number, value: number): void {
  if (value === 0) return;
  to.varint(field << 3);
  to.varint(value);
}

function bigint(to: WireWriter, field: number, value: bigint): void {
  if (value !== 0n) wholeNumber(to, field, value);
}

/** Arithmetic with such numbers makes an object for every step; nearly all of them are small. */
function wholeNumber(to: WireWriter, field: number, value: bigint): void {
  to.varint(field << 3);
  if (value >= 0n && value <= 0x1fffffffffffffn) to.varint(Number(value));
  else to.bigVarint(value);
}
