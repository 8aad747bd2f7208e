import { defineEntity, type InferEntity, p } from "@mikro-orm/core";

/** One recorded call, of the view; the columns are the fields of `UsageRecorded`. */
export const SpendLog = defineEntity({
  name: "SpendLog",
  tableName: "spend_log",
  properties: {
    day: p.string().columnType("date").primary(),
    recordId: p.uuid().primary(),
    callId: p.text(),
    operation: p.text(),
    model: p.text(),
    modelGroup: p.text(),
    deployment: p.text(),
    provider: p.text(),
    upstreamModel: p.text(),
    keyHash: p.bigint(),
    keyId: p.text(),
    keyAlias: p.text(),
    userId: p.text(),
    teamId: p.text(),
    endUser: p.text(),
    tags: p.array(),
    stream: p.boolean(),
    status: p.text(),
    inputTokens: p.bigint(),
    outputTokens: p.bigint(),
    cacheReadTokens: p.bigint(),
    cacheWriteTokens: p.bigint(),
    cacheWrite1hTokens: p.bigint().fieldName("cache_write_1h_tokens"),
    reasoningTokens: p.bigint(),
    inputAudioTokens: p.bigint(),
    outputAudioTokens: p.bigint(),
    toolCalls: p.bigint(),
    usageEstimated: p.boolean(),
    costNanoUsd: p.bigint(),
    costState: p.text(),
    startedAt: p.datetime(),
    endedAt: p.datetime(),
    firstPayloadAt: p.datetime().nullable(),
    leaseOwner: p.text(),
    finishReason: p.text(),
    attemptedRetries: p.integer(),
    attemptedFallbacks: p.integer(),
  },
});
export type SpendLogRow = InferEntity<typeof SpendLog>;

/** What a scope has spent in its current budget window. The row is also the lock of everything about its scope. */
export const Ledger = defineEntity({
  name: "Ledger",
  tableName: "ledger",
  properties: {
    scope: p.text().primary(),
    spentNanoUsd: p.bigint(),
    budgetDuration: p.text(),
    windowStart: p.datetime(),
    windowEnd: p.datetime().nullable(),
  },
});

/** The wallet of one router process on one scope: what it holds and has not settled. */
export const Lease = defineEntity({
  name: "Lease",
  tableName: "lease",
  properties: {
    scope: p.text().primary(),
    owner: p.text().primary(),
    nanoUsd: p.bigint(),
    parallel: p.bigint(),
    expiresAt: p.datetime(),
  },
});

/** A second of a scope's sliding window: what was granted in it. */
export const RateBucket = defineEntity({
  name: "RateBucket",
  tableName: "rate_bucket",
  properties: {
    scope: p.text().primary(),
    bucketStart: p.datetime().primary(),
    requests: p.bigint(),
    tokens: p.bigint(),
  },
});

/** An event that could not be turned into a row, kept whole for a person to look at. */
export const RejectedUsage = defineEntity({
  name: "RejectedUsage",
  tableName: "rejected_usage",
  properties: {
    digest: p.text().primary(),
    receivedAt: p.datetime(),
    recordId: p.text(),
    reason: p.text(),
    event: p.uint8array(),
  },
});
