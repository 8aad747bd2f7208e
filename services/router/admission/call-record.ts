import { type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";
import {
  type Settlement,
  type UsageRecorded,
  UsageRecordedSchema,
  UsageStatus,
} from "#gen/sluice/accounting/v1/spend_pb.ts";
import { CostSchema, CostState, type Usage, UsageSchema } from "#gen/sluice/inference/v1/usage_pb.ts";
import type { AdmissionRequest, CallEnd, EstimatedPrice } from "./admission.ts";

/** What a call is admitted for. */
export interface AdmittedFor {
  readonly nano: bigint;
  readonly outputTokenCap: number | undefined;
  readonly settlements: Settlement[];
}

/** The longest text from outside that a record keeps. */
const maxText = 256;
const maxTags = 64;

/** The record as it stands if the process dies in mid-call: interrupted, charged at what was reserved for it. */
export function recordOfBegin(
  recordId: string,
  owner: string,
  request: AdmissionRequest,
  admitted: AdmittedFor,
  nowMs: number,
): UsageRecorded {
  const { caller, estimate } = request;
  const model = storable(request.model);
  return {
    $typeName: UsageRecordedSchema.typeName,
    recordId,
    callId: storable(request.callId),
    operation: request.operation,
    model,
    modelGroup: model,
    deployment: "",
    provider: "",
    upstreamModel: "",
    keyId: caller.keyId,
    keyAlias: storable(caller.keyAlias),
    userId: storable(caller.userId),
    teamId: storable(caller.teamId),
    endUser: storable(caller.endUser),
    tags: caller.tags.length === 0 ? caller.tags : caller.tags.slice(0, maxTags).map(storable),
    stream: request.stream,
    status: UsageStatus.INTERRUPTED,
    usage: estimatedUsage(estimate.tokens, estimate.price, admitted.outputTokenCap),
    cost: {
      $typeName: CostSchema.typeName,
      nanoUsd: admitted.nano,
      state: estimate.price === undefined ? CostState.UNPRICED : CostState.PRICED,
    },
    startedAt: timestampOf(nowMs),
    leaseOwner: owner,
    settlements: admitted.settlements,
    finishReason: "",
    attemptedRetries: 0,
    attemptedFallbacks: 0,
  };
}

/** The record of a call that ended. */
export function recordOfEnd(
  begin: UsageRecorded,
  end: CallEnd,
  settlements: Settlement[],
  nowMs: number,
): UsageRecorded {
  return {
    $typeName: UsageRecordedSchema.typeName,
    recordId: begin.recordId,
    callId: begin.callId,
    operation: begin.operation,
    model: begin.model,
    modelGroup: storable(end.modelGroup),
    deployment: storable(end.deployment),
    provider: storable(end.provider),
    upstreamModel: storable(end.upstreamModel),
    keyId: begin.keyId,
    keyAlias: begin.keyAlias,
    userId: begin.userId,
    teamId: begin.teamId,
    endUser: begin.endUser,
    tags: begin.tags,
    stream: begin.stream,
    status: end.status,
    usage: end.usage,
    cost: end.cost,
    startedAt: begin.startedAt,
    endedAt: timestampOf(nowMs),
    firstPayloadAt: end.firstPayloadAt === undefined ? undefined : timestampOf(end.firstPayloadAt.getTime()),
    leaseOwner: begin.leaseOwner,
    settlements,
    finishReason: storable(end.finishReason),
    attemptedRetries: end.attemptedRetries,
    attemptedFallbacks: end.attemptedFallbacks,
  };
}

/** Everything that a token limit counts. */
export function tokensOf(usage: Usage): number {
  return Number(
    usage.inputTokens + usage.outputTokens + usage.cacheReadTokens + usage.cacheWriteTokens + usage.cacheWrite1hTokens,
  );
}

function estimatedUsage(tokens: number, price: EstimatedPrice | undefined, cap: number | undefined): Usage {
  const output = price === undefined ? 0 : Math.min(tokens, price.outputTokens);
  const capped = cap === undefined || price === undefined ? output : Math.min(output, cap * price.choices);
  return {
    $typeName: UsageSchema.typeName,
    inputTokens: BigInt(tokens - output),
    outputTokens: BigInt(capped),
    cacheReadTokens: 0n,
    cacheWriteTokens: 0n,
    cacheWrite1hTokens: 0n,
    reasoningTokens: 0n,
    inputAudioTokens: 0n,
    outputAudioTokens: 0n,
    toolCalls: 0n,
    estimated: true,
  };
}

/** Text that every database takes: bounded, well formed, without NUL. */
function storable(text: string): string {
  const cut = text.length > maxText ? text.slice(0, maxText) : text;
  const whole = cut.isWellFormed() ? cut : cut.toWellFormed();
  return whole.includes("\0") ? whole.replaceAll("\0", "\uFFFD") : whole;
}

function timestampOf(ms: number): Timestamp {
  const seconds = Math.floor(ms / 1000);
  return {
    $typeName: TimestampSchema.typeName,
    seconds: BigInt(seconds),
    nanos: Math.floor((ms - seconds * 1000) * 1_000_000),
  };
}
