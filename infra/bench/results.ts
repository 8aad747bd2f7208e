import type { Latencies } from "./open-loop.ts";
import type { Plan } from "./plan.ts";
import type { TargetName } from "./target.ts";
import type { TenancyFigures } from "./tenancy-figures.ts";

/** What a target did under a closed loop. */
export interface LoadFigures {
  readonly perSecond: number;
  readonly errors: number;
  /** CPU microseconds per request of every process of the target; empty where the system does not tell. */
  readonly cpuMicros: Readonly<Record<string, number>>;
  /** Cores that the fake provider used meanwhile: near 1, it is the bottleneck. */
  readonly upstreamCores: number | undefined;
}

/** One entry per round. A target that failed is absent. */
export type Rounds<T> = ReadonlyMap<TargetName, readonly T[]>;

/** Memory in MB, of Node processes alone. */
export interface MemoryFigures {
  readonly first: number;
  readonly second: number;
  /** Under load between the two: the median of the last third of the samples less that of the first third. */
  readonly drift: number;
}

export interface Results {
  readonly plan: Plan;
  readonly machine: Readonly<Record<string, string | number>>;
  readonly throughput: Rounds<LoadFigures>;
  readonly streams: Rounds<LoadFigures>;
  readonly latency: Rounds<Latencies>;
  /** At the rate of the five processes. */
  readonly meshLatency: Rounds<Latencies>;
  readonly firstToken: Rounds<Latencies>;
  readonly largePrompt: Rounds<Latencies>;
  readonly idleMb: ReadonlyMap<TargetName, number>;
  readonly endMb: ReadonlyMap<TargetName, number>;
  readonly memory: MemoryFigures | undefined;
  readonly tenancy: TenancyFigures | undefined;
  readonly failures: readonly string[];
}
