import { gatewayError, upstreamError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { Exchange, JsonObject, Outcome, ProviderCall } from "../../provider.ts";
import { decodeText, objectOf, parseObject, textOf } from "../../translate/json-reading.ts";
import { readEventData } from "../../translate/sse-event.ts";
import { cohereToChatCompletion, finishReasonOf } from "./chat-answer.ts";
import { chatToCohereRequest } from "./chat-request.ts";
import { CohereChunks } from "./chat-stream.ts";
import { brokenAnswer, classifyErrorObject } from "./classify-error.ts";
import { modelOf, upstreamRequest } from "./upstream-request.ts";
import { estimatedUsage, readUsage } from "./usage.ts";

/** Length of a delta's data without its text, and bytes of text for a token: for the estimate of an aborted stream. */
const deltaEnvelope = 90;
const bytesPerToken = 4;

/** A chat completion call, translated both ways. */
export function createChatExchange(call: ProviderCall): Exchange {
  return new ChatExchange(call);
}

class ChatExchange implements Exchange {
  readonly request: Exchange["request"];
  readonly #call: ProviderCall;
  readonly #model: string;
  readonly #chunks: CohereChunks;
  /** The answer that was no stream. */
  #answer: JsonObject | undefined;
  #contentBytes = 0;

  constructor(call: ProviderCall) {
    const chat = parseObject(decodeText(call.body));
    if (chat === undefined) throw gatewayError(Reason.INVALID_REQUEST, "The body has to be a JSON object.");
    this.#model = modelOf(call);
    this.#call = call;
    this.request = upstreamRequest(call, "/v2/chat", chatToCohereRequest(chat, this.#model, call));
    this.#chunks = new CohereChunks({
      model: this.#model,
      createdAt: call.createdAt,
      includeUsage: objectOf(chat.stream_options).include_usage === true,
    });
  }

  get progress(): "open" | "closing" {
    return this.#chunks.finishReason === "" ? "open" : "closing";
  }

  decodeBody(body: Uint8Array): Uint8Array {
    const answer = parseObject(decodeText(body));
    if (answer === undefined) throw upstreamError(brokenAnswer("Cohere's answer is not JSON"));
    if (typeof answer.message === "string") throw upstreamError(classifyErrorObject(answer));
    if (objectOf(answer.message).role !== "assistant") {
      throw upstreamError(brokenAnswer("Cohere's answer has no message"));
    }
    const completion = cohereToChatCompletion(answer, this.#model, this.#call.createdAt);
    this.#answer = answer;
    return Buffer.from(JSON.stringify(completion));
  }

  decodeEvents(events: readonly Uint8Array[]): Uint8Array[] {
    const out: Uint8Array[] = [];
    for (const bytes of events) {
      const data = readEventData(bytes);
      if (data === undefined || data.trim() === "[DONE]") continue;
      const event = parseObject(data);
      if (event === undefined) throw upstreamError(brokenAnswer("Cohere sent an event that is not JSON"));
      if (typeof event.message === "string") throw upstreamError(classifyErrorObject(event));
      if (/-delta$/.test(textOf(event.type))) this.#contentBytes += Math.max(1, data.length - deltaEnvelope);
      this.#chunks.push(event, out);
    }
    return out;
  }

  finish(): Uint8Array[] {
    if (this.#chunks.finishReason === "") {
      throw upstreamError(brokenAnswer("Cohere's stream ended before message-end"));
    }
    return this.#chunks.finish();
  }

  outcome(): Outcome {
    const answer = this.#answer;
    return {
      usage:
        readUsage(answer === undefined ? this.#chunks.usage : answer.usage) ??
        estimatedUsage(this.#contentBytes / bytesPerToken),
      finishReason: answer === undefined ? this.#chunks.finishReason : finishReasonOf(textOf(answer.finish_reason)),
      responseModel: "",
      responseId: answer === undefined ? this.#chunks.id : textOf(answer.id),
    };
  }
}
