import { create } from "@bufbuild/protobuf";
import { createNoopMeter } from "@opentelemetry/api";
import { createLogger, type Logger } from "#chassis/log.ts";
import { type Settlement, SettlementSchema, UsageStatus } from "#gen/sluice/accounting/v1/spend_pb.ts";
import { CallerKind, CallerSchema, Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import { type ScopeLimits, ScopeLimitsSchema } from "#gen/sluice/inference/v1/limits_pb.ts";
import { CostSchema, CostState, UsageSchema } from "#gen/sluice/inference/v1/usage_pb.ts";
import type { AdmissionRequest, CallEnd, EstimatedPrice } from "../admission.ts";
import type { Charge } from "../record-fields.ts";

/** A logger that keeps its lines. */
export function recordingLog(): { readonly log: Logger; readonly lines: string[] } {
  const lines: string[] = [];
  return { log: createLogger("debug", (line) => lines.push(line)), lines };
}

export const noMeter = createNoopMeter();

type Limits = Partial<Omit<ScopeLimits, "$typeName" | "$unknown">>;

export function scopeLimits(scope: string, limits: Limits = {}): ScopeLimits {
  return create(ScopeLimitsSchema, { scope, ...limits });
}

/** 1 nano-USD an output token. */
export const oneNanoAToken = (outputTokens: number, inputNanoUsd = 0n): EstimatedPrice => ({
  inputNanoUsd,
  outputNanoUsdPerMillion: 1_000_000n,
  outputTokens,
  choices: 1,
});

export interface RequestInit {
  readonly scopes?: readonly ScopeLimits[];
  readonly tokens?: number;
  readonly price?: EstimatedPrice;
  readonly kind?: CallerKind;
}

export function admissionRequest(init: RequestInit = {}): AdmissionRequest {
  return {
    callId: "call-1",
    operation: Operation.CHAT_COMPLETIONS,
    model: "gpt-4o",
    stream: true,
    caller: create(CallerSchema, {
      kind: init.kind ?? CallerKind.VIRTUAL_KEY,
      keyId: "a".repeat(64),
      keyAlias: "alias",
      userId: "user-1",
      teamId: "team-1",
      tags: ["tag"],
      scopes: [...(init.scopes ?? [])],
    }),
    estimate: { tokens: init.tokens ?? init.price?.outputTokens ?? 0, price: init.price },
  };
}

/** A call that cost so much: as many output tokens as nano-USD. */
export function callEnd(nanoUsd: bigint, tokens = Number(nanoUsd)): CallEnd {
  return {
    status: UsageStatus.SUCCESS,
    modelGroup: "gpt-4o",
    deployment: "0123456789abcdef",
    provider: "openai",
    upstreamModel: "gpt-4o-2024-08-06",
    usage: create(UsageSchema, { outputTokens: BigInt(tokens) }),
    cost: create(CostSchema, { nanoUsd, state: CostState.PRICED }),
    finishReason: "stop",
    firstPayloadAt: 1_700_000_000_000,
    attemptedRetries: 0,
    attemptedFallbacks: 0,
  };
}

/** A charge as accounting reads it. */
export function settlementOf({ scope, nano, tokens, leasedAt, leasedTokens }: Charge): Settlement {
  return create(SettlementSchema, {
    scope,
    consumed: { nanoUsd: nano, requests: 1n, tokens: BigInt(tokens) },
    leasedAt,
    leasedTokens: leasedTokens === undefined ? undefined : BigInt(leasedTokens),
  });
}

/** Numbers that look random and are the same in every run (mulberry32). */
export function randomNumbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (((mixed ^ (mixed >>> 14)) >>> 0) % below) | 0;
  };
}

/** Waits until something is so, or fails after half a minute: only a test that fails waits for so long. */
export async function eventually(check: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!check()) {
    if (performance.now() > deadline) throw new Error(`did not happen: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
