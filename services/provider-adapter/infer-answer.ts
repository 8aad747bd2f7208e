import {
  ChunkSchema,
  type Finished,
  FinishedSchema,
  type Started,
  StartedSchema,
  TimingSchema,
} from "#gen/sluice/inference/v1/inference_pb.ts";
import { type InferResponse, InferResponseSchema } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import type { Usage } from "#gen/sluice/inference/v1/usage_pb.ts";
import type { AdapterEvents } from "./events.ts";
import type { Outcome } from "./provider.ts";
import type { AdapterCall } from "./provider-call.ts";

const maxUint32 = 0xffff_ffff;

/** Makes the events of one answer, in their order, and knows its times. */
export class InferAnswer {
  readonly #call: AdapterCall;
  readonly #events: AdapterEvents;
  readonly #begin = performance.now();
  #firstPayloadMs: number | undefined;

  constructor(call: AdapterCall, events: AdapterEvents) {
    this.#call = call;
    this.#events = events;
  }

  /** Whether the first payload has come. */
  get started(): boolean {
    return this.#firstPayloadMs !== undefined;
  }

  get elapsedMs(): number {
    return performance.now() - this.#begin;
  }

  /** The head. Call it when the first payload is there. `usage`: what is known of it by then. */
  start(headers: Record<string, string>, usage?: Usage): InferResponse {
    const { target, provider, call } = this.#call;
    this.#firstPayloadMs = this.elapsedMs;
    this.#events.firstPayload(provider.id, this.#firstPayloadMs);
    const value: Started = {
      $typeName: StartedSchema.typeName,
      status: 200,
      contentType: call.stream ? "text/event-stream" : "application/json",
      headers,
      deployment: target.deployment,
      provider: provider.id,
      modelGroup: "",
      attemptedRetries: 0,
      attemptedFallbacks: 0,
      upstreamFirstPayloadUs: Math.min(Math.round(this.#firstPayloadMs * 1000), maxUint32),
      usage: usage !== undefined && tellsInput(usage) ? usage : undefined,
    };
    return response({ case: "started", value });
  }

  chunk(payloads: Uint8Array[], last: boolean): InferResponse {
    return response({ case: "chunk", value: { $typeName: ChunkSchema.typeName, payloads, last } });
  }

  finish(outcome: Outcome): InferResponse {
    const value: Finished = {
      $typeName: FinishedSchema.typeName,
      usage: this.#usage(outcome.usage),
      finishReason: outcome.finishReason,
      responseModel: outcome.responseModel,
      responseId: outcome.responseId,
      timing: {
        $typeName: TimingSchema.typeName,
        upstreamFirstPayloadUs: microseconds(this.#firstPayloadMs ?? 0),
        upstreamTotalUs: microseconds(this.elapsedMs),
      },
    };
    return response({ case: "finished", value });
  }

  /** A provider that reports nothing has still read the input. */
  #usage(usage: Usage): Usage {
    if (!usage.estimated || usage.inputTokens > 0n) return usage;
    return { ...usage, inputTokens: BigInt(this.#call.inputTokens) };
  }
}

function tellsInput({ inputTokens, cacheReadTokens, cacheWriteTokens, cacheWrite1hTokens }: Usage): boolean {
  return inputTokens + cacheReadTokens + cacheWriteTokens + cacheWrite1hTokens > 0n;
}

function response(event: InferResponse["event"]): InferResponse {
  return { $typeName: InferResponseSchema.typeName, event };
}

function microseconds(ms: number): bigint {
  return BigInt(Math.round(ms * 1000));
}
