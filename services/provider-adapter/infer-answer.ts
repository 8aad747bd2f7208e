import { create } from "@bufbuild/protobuf";
import { type Chunk, ChunkSchema, FinishedSchema, StartedSchema } from "#gen/sluice/inference/v1/inference_pb.ts";
import { type InferResponse, InferResponseSchema } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import type { Usage } from "#gen/sluice/inference/v1/usage_pb.ts";
import type { AdapterEvents } from "./events.ts";
import type { Outcome } from "./provider.ts";
import type { AdapterCall } from "./provider-call.ts";

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

  /** The head. Call it when the first payload is there. */
  start(headers: Record<string, string>): InferResponse {
    const { target, provider, call } = this.#call;
    this.#firstPayloadMs = this.elapsedMs;
    this.#events.firstPayload(provider.id, this.#firstPayloadMs);
    const value = create(StartedSchema, {
      status: 200,
      contentType: call.stream ? "text/event-stream" : "application/json",
      headers,
      deployment: target.deployment,
      provider: provider.id,
    });
    return create(InferResponseSchema, { event: { case: "started", value } });
  }

  chunk(payloads: Uint8Array[], last: boolean): InferResponse {
    const value: Chunk = create(ChunkSchema);
    value.payloads = payloads;
    value.last = last;
    const response = create(InferResponseSchema);
    response.event = { case: "chunk", value };
    return response;
  }

  finish(outcome: Outcome): InferResponse {
    const value = create(FinishedSchema, {
      usage: this.#usage(outcome.usage),
      finishReason: outcome.finishReason,
      responseModel: outcome.responseModel,
      responseId: outcome.responseId,
      timing: {
        upstreamFirstPayloadUs: microseconds(this.#firstPayloadMs ?? 0),
        upstreamTotalUs: microseconds(this.elapsedMs),
      },
    });
    return create(InferResponseSchema, { event: { case: "finished", value } });
  }

  /** A provider that reports nothing has still read the input. */
  #usage(usage: Usage): Usage {
    if (!usage.estimated || usage.inputTokens > 0n) return usage;
    return { ...usage, inputTokens: BigInt(this.#call.inputTokens) };
  }
}

function microseconds(ms: number): bigint {
  return BigInt(Math.round(ms * 1000));
}
