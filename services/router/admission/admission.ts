import type { UsageStatus } from "#gen/sluice/accounting/v1/spend_pb.ts";
import type { Caller, Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Cost, Usage } from "#gen/sluice/inference/v1/usage_pb.ts";

/** What a call may cost at most, estimated before it is made. */
export interface Estimate {
  /** Input estimate plus output limit times choices. */
  readonly tokens: number;
  /** At the dearest deployment reachable; undefined where no price is known. */
  readonly price: EstimatedPrice | undefined;
}

export interface EstimatedPrice {
  /** What the input may cost, nano-USD. */
  readonly inputNanoUsd: bigint;
  /** Nano-USD per million output tokens. */
  readonly outputNanoUsdPerMillion: bigint;
  /** Output tokens that may be produced over all choices. */
  readonly outputTokens: number;
  readonly choices: number;
}

export interface AdmissionRequest {
  readonly callId: string;
  readonly operation: Operation;
  /** The model name as the client wrote it. */
  readonly model: string;
  readonly stream: boolean;
  readonly caller: Caller;
  readonly estimate: Estimate;
}

/** How an admitted call ended. */
export interface CallEnd {
  readonly status: UsageStatus;
  readonly modelGroup: string;
  readonly deployment: string;
  readonly provider: string;
  readonly upstreamModel: string;
  readonly usage: Usage;
  readonly cost: Cost;
  readonly finishReason: string;
  /** Milliseconds since 1970. */
  readonly firstPayloadAt: number | undefined;
  readonly attemptedRetries: number;
  readonly attemptedFallbacks: number;
}

/** The right to make one call. Exactly one of `settle` and `void` must be called, once, whatever happens. */
export interface Admission {
  readonly recordId: string;
  /** Set where the budget pays for less output than the call may produce: the upstream's limit is lowered to it. */
  readonly outputTokenCap: number | undefined;
  /**
   * Charges the wallets at once, journals the end and hands the record to the relay. Resolves when the end is in the
   * journal, before which no client may see it; never rejects.
   */
  settle(end: CallEnd): Promise<void>;
  /** The call cost nothing: everything reserved goes back, the request count stays used. */
  void(): void;
}

/** What ends a call from outside. The signal is made when it is first read, and dear: read it only to wait on it. */
export interface Cancellable {
  readonly signal: AbortSignal;
}

/** Decides whether calls may be made. */
export interface Admitter {
  /**
   * Admits a call or rejects: BUDGET_EXCEEDED, RATE_LIMITED, UNPRICED (policy), UNAVAILABLE (accounting or the journal's
   * disk does not answer). Resolves when the call is in the journal: at the end of the turn where the local wallets
   * suffice, which are charged at once then.
   */
  admit(request: AdmissionRequest, context: Cancellable): Promise<Admission>;
  /** Flushes the relay as far as the bus takes it, gives the wallets back. What could not be sent stays in the journal. */
  close(): Promise<void>;
}
