import { WireWriter } from "#chassis/wire/wire-writer.ts";
import { UsageStatus } from "#gen/sluice/accounting/v1/spend_pb.ts";
import { CostState, type Usage } from "#gen/sluice/inference/v1/usage_pb.ts";
import type { AdmissionRequest, CallEnd, Estimate } from "./admission.ts";
import {
  type Charge,
  writeCharge,
  writeCost,
  writeEstimatedUsage,
  writeNumber,
  writeText,
  writeTime,
  writeUsage,
} from "./record-fields.ts";

/** What a call is admitted for. */
export interface AdmittedFor {
  readonly nano: bigint;
  readonly outputTokenCap: number | undefined;
  readonly charges: readonly Charge[];
}

/** The record of a call that has begun, as it is kept until the call ends: as bytes it is no burden to the collector. */
export interface BegunRecord {
  readonly bytes: Buffer;
  /** How many bytes of it say what stays as it is until the call ends. */
  readonly lasting: number;
}

/** The longest text from outside that a record keeps. */
const maxText = 256;
const maxTags = 64;

/**
 * Encodes the two `UsageRecorded` of each call. What they have in common comes first, the record id before all, and is
 * written once: the second record begins with a copy of it.
 */
export class CallRecords {
  readonly #owner: string;
  readonly #to = new WireWriter();

  /** `owner` is the process that the calls' wallets are leased to. */
  constructor(owner: string) {
    this.#owner = owner;
  }

  /** The record as it stands if the process dies in mid-call: interrupted, charged at what was reserved for it. */
  begin(recordId: string, request: AdmissionRequest, admitted: AdmittedFor, nowMs: number): BegunRecord {
    const to = this.#emptied();
    writeLasting(to, recordId, this.#owner, request, nowMs);
    const lasting = to.mark();
    writeBegin(to, request, admitted);
    return { bytes: to.take(), lasting };
  }

  /** The record of a call that ended. */
  end({ bytes, lasting }: BegunRecord, end: CallEnd, charges: readonly Charge[], nowMs: number): Buffer {
    const to = this.#emptied();
    to.raw(bytes.subarray(0, lasting));
    writeEnd(to, end, charges, nowMs);
    return to.take();
  }

  /** Where a record could not be encoded, a part of it is left. */
  #emptied(): WireWriter {
    this.#to.rewind(0);
    return this.#to;
  }
}

function writeLasting(to: WireWriter, recordId: string, owner: string, request: AdmissionRequest, nowMs: number): void {
  const { caller } = request;
  writeText(to, 1, recordId);
  writeText(to, 2, storable(request.callId));
  writeNumber(to, 3, request.operation);
  writeText(to, 4, storable(request.model));
  writeText(to, 9, caller.keyId);
  writeText(to, 10, storable(caller.keyAlias));
  writeText(to, 11, storable(caller.userId));
  writeText(to, 12, storable(caller.teamId));
  writeText(to, 13, storable(caller.endUser));
  for (let at = 0; at < caller.tags.length && at < maxTags; at += 1) {
    to.varint((14 << 3) | 2);
    to.text(storable(caller.tags[at] ?? ""));
  }
  if (request.stream) writeNumber(to, 15, 1);
  writeTime(to, 19, nowMs);
  writeText(to, 22, owner);
}

function writeBegin(to: WireWriter, { model, estimate }: AdmissionRequest, admitted: AdmittedFor): void {
  const { price } = estimate;
  writeText(to, 5, storable(model));
  writeNumber(to, 16, UsageStatus.INTERRUPTED);
  writeEstimate(to, estimate, admitted.outputTokenCap);
  writeCost(to, 18, {
    nanoUsd: admitted.nano,
    state: price === undefined ? CostState.UNPRICED : CostState.PRICED,
  });
  for (const charge of admitted.charges) writeCharge(to, 23, charge);
}

function writeEstimate(to: WireWriter, { tokens, price }: Estimate, cap: number | undefined): void {
  const output = price === undefined ? 0 : Math.min(tokens, price.outputTokens);
  const capped = cap === undefined || price === undefined ? output : Math.min(output, cap * price.choices);
  writeEstimatedUsage(to, 17, tokens - output, capped);
}

function writeEnd(to: WireWriter, end: CallEnd, charges: readonly Charge[], nowMs: number): void {
  writeText(to, 5, storable(end.modelGroup));
  writeText(to, 6, storable(end.deployment));
  writeText(to, 7, storable(end.provider));
  writeText(to, 8, storable(end.upstreamModel));
  writeNumber(to, 16, end.status);
  writeUsage(to, 17, end.usage);
  writeCost(to, 18, end.cost);
  writeTime(to, 20, nowMs);
  if (end.firstPayloadAt !== undefined) writeTime(to, 21, end.firstPayloadAt);
  for (const charge of charges) writeCharge(to, 23, charge);
  writeText(to, 24, storable(end.finishReason));
  writeNumber(to, 25, end.attemptedRetries);
  writeNumber(to, 26, end.attemptedFallbacks);
}

/** Everything that a token limit counts. */
export function tokensOf(usage: Usage): number {
  return Number(
    usage.inputTokens + usage.outputTokens + usage.cacheReadTokens + usage.cacheWriteTokens + usage.cacheWrite1hTokens,
  );
}

/** Text that every database takes: bounded and without NUL. Half a surrogate pair becomes U+FFFD where it is encoded. */
function storable(text: string): string {
  const cut = text.length > maxText ? text.slice(0, maxText) : text;
  return cut.includes("\0") ? cut.replaceAll("\0", "\uFFFD") : cut;
}
