import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { WireWriter } from "#chassis/wire/wire-writer.ts";
import type { Cost, Usage } from "#gen/sluice/inference/v1/usage_pb.ts";

// The fields of a usage record in protobuf's format, by hand: every call writes two records.

/** Writes a text that is not empty. */
export function writeText(to: WireWriter, field: number, value: string): void {
  if (value === "") return;
  to.varint(lengthDelimited(field));
  to.text(value);
}

/** Writes a whole number that is not zero; its field may be of 32 or 64 bits, or a flag or an enum. */
export function writeNumber(to: WireWriter, field: number, value: number): void {
  if (value !== 0) writeGivenNumber(to, field, value);
}

/** The same for a field that may be absent, and is therefore written where it is zero. */
function writeGivenNumber(to: WireWriter, field: number, value: number): void {
  if (value >= 0 && value <= Number.MAX_SAFE_INTEGER) to.varintField(field, value);
  else writeLarge(to, field, BigInt(value));
}

/** Arithmetic with such numbers makes an object for every step; nearly all of them are small. */
function writeBigint(to: WireWriter, field: number, value: bigint): void {
  if (value === 0n) return;
  if (value > 0n && value <= 0x1fffffffffffffn) to.varintField(field, Number(value));
  else writeLarge(to, field, value);
}

function writeLarge(to: WireWriter, field: number, value: bigint): void {
  to.varint(field << 3);
  to.bigVarint(value);
}

/** Writes what was used. */
export function writeUsage(to: WireWriter, field: number, usage: Usage): void {
  const mark = open(to, field);
  writeBigint(to, 1, usage.inputTokens);
  writeBigint(to, 2, usage.outputTokens);
  writeBigint(to, 3, usage.cacheReadTokens);
  writeBigint(to, 4, usage.cacheWriteTokens);
  writeBigint(to, 5, usage.cacheWrite1hTokens);
  writeBigint(to, 6, usage.reasoningTokens);
  writeBigint(to, 7, usage.inputAudioTokens);
  writeBigint(to, 8, usage.outputAudioTokens);
  writeBigint(to, 9, usage.toolCalls);
  if (usage.estimated) to.varintField(10, 1);
  to.close(mark);
}

/** Writes a usage of which nothing but an estimate of the tokens is known. */
export function writeEstimatedUsage(to: WireWriter, field: number, inputTokens: number, outputTokens: number): void {
  const mark = open(to, field);
  writeNumber(to, 1, inputTokens);
  writeNumber(to, 2, outputTokens);
  to.varintField(10, 1);
  to.close(mark);
}

/** Writes a cost. */
export function writeCost(to: WireWriter, field: number, { nanoUsd, state }: Omit<Cost, "$typeName">): void {
  const mark = open(to, field);
  writeBigint(to, 1, nanoUsd);
  writeNumber(to, 2, state);
  to.close(mark);
}

/** Writes a moment, given in milliseconds since 1970. */
export function writeTime(to: WireWriter, field: number, ms: number): void {
  const seconds = Math.floor(ms / 1000);
  const mark = open(to, field);
  writeNumber(to, 1, seconds);
  writeNumber(to, 2, Math.floor((ms - seconds * 1000) * 1_000_000));
  to.close(mark);
}

/** What a call is charged on one scope. */
export interface Charge {
  readonly scope: string;
  readonly nano: bigint;
  readonly tokens: number;
  /** The part of the window that its tokens came from. */
  readonly leasedAt: Timestamp | undefined;
  /** How many of the leased tokens it has used up; undefined where tokens are not limited. */
  readonly leasedTokens: number | undefined;
}

/** Writes a `Settlement`: one request, with what it is charged. */
export function writeCharge(to: WireWriter, field: number, charge: Charge): void {
  const mark = open(to, field);
  writeText(to, 1, charge.scope);
  const amounts = open(to, 2);
  writeBigint(to, 1, charge.nano);
  to.varintField(2, 1);
  writeNumber(to, 3, charge.tokens);
  to.close(amounts);
  if (charge.leasedAt !== undefined) writeTimestamp(to, 3, charge.leasedAt);
  if (charge.leasedTokens !== undefined) writeGivenNumber(to, 4, charge.leasedTokens);
  to.close(mark);
}

function writeTimestamp(to: WireWriter, field: number, { seconds, nanos }: Timestamp): void {
  const mark = open(to, field);
  writeBigint(to, 1, seconds);
  writeNumber(to, 2, nanos);
  to.close(mark);
}

/** Begins a message in a message; `close` takes what it returns. */
function open(to: WireWriter, field: number): number {
  to.varint(lengthDelimited(field));
  return to.open();
}

function lengthDelimited(field: number): number {
  return (field << 3) | 2;
}
