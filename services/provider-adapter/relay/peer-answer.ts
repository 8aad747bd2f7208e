import type { ConnectError } from "@connectrpc/connect";
import type { Chunk, Finished, Started } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { InferResponse } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import { type Usage, UsageSchema } from "#gen/sluice/inference/v1/usage_pb.ts";
import type { AdapterConfig } from "../config.ts";
import { malformedAnswer } from "../failure.ts";
import type { InferAnswer } from "../infer-answer.ts";
import type { AdapterCall } from "../provider-call.ts";
import { decodeText } from "../translate/json-reading.ts";

/** More tokens than any call has: what is above comes from a broken service. */
const maxCount = 1_000_000_000n;
/** Of a name that stands in every row of the spend log. */
const maxNameLength = 256;

/**
 * The answer of a service, held to the contract of `InferenceService`: one Started, chunks of which the final one is
 * marked, one Finished. A stream's payloads pass on as they come; anything else is kept until it is whole, for a part of it
 * is no answer. Started waits for the first payload, so that a service that stalls behind it can still be left.
 */
export class PeerAnswer {
  readonly #call: AdapterCall;
  readonly #answer: InferAnswer;
  readonly #limits: Pick<AdapterConfig, "maxBodyBytes" | "maxEventBytes">;
  #started: Started | undefined;
  #closed = false;
  #finished: Finished | undefined;
  #held: Uint8Array[] = [];
  #heldBytes = 0;

  constructor(call: AdapterCall, answer: InferAnswer, limits: Pick<AdapterConfig, "maxBodyBytes" | "maxEventBytes">) {
    this.#call = call;
    this.#answer = answer;
    this.#limits = limits;
  }

  /** Whether Finished has come: nothing may follow. */
  get finished(): boolean {
    return this.#finished !== undefined;
  }

  /** Takes the next event and returns what goes on. Throws BAD_GATEWAY where the contract does not allow it. */
  take(event: InferResponse["event"]): InferResponse[] {
    if (this.#finished !== undefined) throw this.#broken("the service sent something behind its end");
    switch (event.case) {
      case "started":
        this.#start(event.value);
        return [];
      case "chunk":
        return this.#takeChunk(event.value);
      case "finished":
        if (!this.#closed) throw this.#broken("the service finished without a chunk that is marked as the last");
        this.#finished = event.value;
        return [];
      default:
        throw this.#broken("the service sent an event that is none");
    }
  }

  /** The closing event, when the service has ended. Throws BAD_GATEWAY where the answer is not complete. */
  end(): InferResponse {
    const finished = this.#finished;
    if (finished === undefined) throw this.#broken("the service ended the answer before it was finished");
    const response = this.#answer.finish({
      usage: finished.usage ?? noUsage,
      finishReason: finished.finishReason.slice(0, maxNameLength),
      responseModel: finished.responseModel.slice(0, maxNameLength),
      responseId: finished.responseId.slice(0, maxNameLength),
    });
    if (response.event.case !== "finished") return response;
    // A service that counts nothing leaves it to the router, which has seen what passed by.
    response.event.value.usage = finished.usage === undefined ? undefined : this.#checked(finished.usage);
    return response;
  }

  #start(started: Started): void {
    if (this.#started !== undefined) throw this.#broken("the service began its answer twice");
    const { status, contentType } = started;
    if (status !== 0 && (status < 200 || status > 299)) throw this.#broken(`the service began with status ${status}`);
    const isStream = contentType.startsWith("text/event-stream");
    if (contentType !== "" && isStream !== this.#call.call.stream) {
      throw this.#broken(`the service answers with ${isStream ? "a stream" : "no stream"}, which was not asked for`);
    }
    this.#started = started;
  }

  #takeChunk({ payloads, last }: Chunk): InferResponse[] {
    const started = this.#started;
    if (started === undefined) throw this.#broken("the service sent a chunk before its beginning");
    if (this.#closed) throw this.#broken("the service sent a chunk behind the last one");
    this.#closed = last;
    if (!this.#call.call.stream) return this.#collect(started, payloads, last);
    for (const payload of payloads) this.#checkEvent(payload);
    if (payloads.length === 0 && !last) return [];
    const chunk = this.#answer.chunk(payloads, last);
    return this.#answer.started ? [chunk] : [this.#head(started), chunk];
  }

  #collect(started: Started, payloads: readonly Uint8Array[], last: boolean): InferResponse[] {
    for (const payload of payloads) {
      this.#held.push(payload);
      this.#heldBytes += payload.length;
    }
    const { maxBodyBytes } = this.#limits;
    if (this.#heldBytes > maxBodyBytes) throw this.#broken(`the answer is larger than ${maxBodyBytes} bytes`);
    if (!last) return [];
    const head = this.#head(started);
    const body = Buffer.concat(this.#held);
    this.#held = [];
    if (head.event.case === "started" && head.event.value.contentType.startsWith("application/json")) {
      this.#checkJson(body);
    }
    return [head, this.#answer.chunk([body], true)];
  }

  #head({ contentType, headers }: Started): InferResponse {
    const head = this.#answer.start(headers);
    if (head.event.case === "started" && contentType !== "") head.event.value.contentType = contentType;
    return head;
  }

  /** What is no whole event would run into the next one, and the client would read neither. */
  #checkEvent(payload: Uint8Array): void {
    const { maxEventBytes } = this.#limits;
    if (payload.length > maxEventBytes) throw this.#broken(`an event is larger than ${maxEventBytes} bytes`);
    if (!/(?:\n\n|\r\n\r\n|\r\r)$/.test(decodeText(payload.subarray(-4)))) {
      throw this.#broken("a payload of the stream is no whole event: it does not end with a blank line");
    }
  }

  #checkJson(body: Uint8Array): void {
    try {
      JSON.parse(decodeText(body));
    } catch (error) {
      throw malformedAnswer(this.#call.provider.id, "the answer is no JSON", error);
    }
  }

  #checked(usage: Usage): Usage {
    for (const count of Object.values(usage)) {
      if (typeof count === "bigint" && count > maxCount)
        throw this.#broken("the service counted impossibly many tokens");
    }
    return usage;
  }

  #broken(what: string): ConnectError {
    return malformedAnswer(this.#call.provider.id, what);
  }
}

const noUsage: Usage = {
  $typeName: UsageSchema.typeName,
  inputTokens: 0n,
  outputTokens: 0n,
  cacheReadTokens: 0n,
  cacheWriteTokens: 0n,
  cacheWrite1hTokens: 0n,
  reasoningTokens: 0n,
  inputAudioTokens: 0n,
  outputAudioTokens: 0n,
  toolCalls: 0n,
  estimated: true,
};
