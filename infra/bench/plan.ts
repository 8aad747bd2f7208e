/** How long and how often everything is measured. Times are seconds. */
export interface Plan {
  readonly closed: ClosedPlan;
  readonly streams: ClosedPlan;
  readonly latency: OpenPlan;
  readonly firstToken: OpenPlan;
  readonly largePrompt: OpenPlan;
  /** Requests after which memory is looked at. */
  readonly memory: { readonly first: number; readonly second: number };
}

export interface ClosedPlan {
  readonly rounds: number;
  readonly seconds: number;
  /** What comes before the first round: that many requests, in at most that many seconds. Later rounds warm up for one second. */
  readonly warmUp: { readonly requests: number; readonly seconds: number };
}

export interface OpenPlan {
  readonly rounds: number;
  readonly seconds: number;
  readonly ratePerSecond: number;
  /** Rate of the five processes and of what they are compared with. */
  readonly meshRatePerSecond: number;
}

/** Of every closed loop. */
export const connections = 64;

/** Nine to ten minutes. */
export const fullPlan: Plan = {
  closed: { rounds: 3, seconds: 6, warmUp: { requests: 100_000, seconds: 40 } },
  streams: { rounds: 2, seconds: 5, warmUp: { requests: 1_000, seconds: 2 } },
  latency: { rounds: 3, seconds: 4, ratePerSecond: 200, meshRatePerSecond: 50 },
  firstToken: { rounds: 2, seconds: 3, ratePerSecond: 50, meshRatePerSecond: 50 },
  largePrompt: { rounds: 2, seconds: 3, ratePerSecond: 20, meshRatePerSecond: 20 },
  memory: { first: 10_000, second: 100_000 },
};

/** At most 90 seconds: shows that everything works, and roughly where the figures lie. */
export const quickPlan: Plan = {
  closed: { rounds: 1, seconds: 2, warmUp: { requests: 1_000, seconds: 1 } },
  streams: { rounds: 1, seconds: 2, warmUp: { requests: 1_000, seconds: 1 } },
  latency: { rounds: 1, seconds: 1, ratePerSecond: 200, meshRatePerSecond: 50 },
  firstToken: { rounds: 1, seconds: 1, ratePerSecond: 50, meshRatePerSecond: 50 },
  largePrompt: { rounds: 1, seconds: 1, ratePerSecond: 20, meshRatePerSecond: 20 },
  memory: { first: 1_000, second: 5_000 },
};
