/** What was granted of a scope's sliding window in one stretch of it. */
export interface RateBucket {
  readonly startMs: number;
  readonly requests: bigint;
  readonly tokens: bigint;
}

/**
 * A sliding window of 60 seconds, kept in buckets. A grant may be used for a while after it was made (`holdMs`), and its
 * bucket does not say when in the bucket it was made, so it is counted until nothing of it can lie in the last
 * 60 seconds any more: that is why no stretch of 60 seconds ever sees more than the limit.
 */
export const rateWindowMs = 60_000;
export const rateBucketMs = 1000;

export function bucketStart(ms: number): number {
  return Math.floor(ms / rateBucketMs) * rateBucketMs;
}

/** Buckets that start at this moment or earlier count no more. */
export function windowFloor(nowMs: number, holdMs: number): number {
  return nowMs - rateWindowMs - holdMs - rateBucketMs;
}

/**
 * The milliseconds until `missing` more fits: when enough of the oldest buckets will have left the window. Undefined
 * where even an empty window would not hold it.
 */
export function waitFor(
  buckets: readonly RateBucket[],
  kind: "requests" | "tokens",
  missing: bigint,
  nowMs: number,
  holdMs: number,
): number | undefined {
  let freed = 0n;
  for (const bucket of buckets.toSorted((a, b) => a.startMs - b.startMs)) {
    freed += bucket[kind];
    if (freed >= missing) return Math.max(1, bucket.startMs - windowFloor(nowMs, holdMs));
  }
  return undefined;
}
