import { gatewayError, upstreamError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { Exchange, JsonObject, Outcome, ProviderCall, UpstreamRequest } from "../../provider.ts";
import { chatToGeminiRequest } from "../../translate/chat-to-gemini/request.ts";
import { geminiToChatCompletion } from "../../translate/gemini-to-chat/answer.ts";
import { GeminiUsage } from "../../translate/gemini-to-chat/gemini-usage.ts";
import { type AnswerFrame, GeminiChunks } from "../../translate/gemini-to-chat/stream.ts";
import { decodeText, objectOf, objectsOf, parseObject, textOf } from "../../translate/json-reading.ts";
import { readEventData } from "../../translate/sse-event.ts";
import { brokenAnswer, readResponse } from "./classify-error.ts";

/** Length of an event's data without its text, and bytes of text for a token: for the estimate of an aborted stream. */
const eventEnvelope = 300;
const bytesPerToken = 4;

/** Where Gemini models are served: AI Studio and Vertex AI differ in addresses and credentials only. */
export interface GeminiHost {
  /** The provider's id, for errors. */
  readonly id: string;
  /** The HTTP request for a body. `method` is that of the API: `generateContent`, say. */
  request(call: ProviderCall, method: string, body: JsonObject | Uint8Array): UpstreamRequest;
}

/** A chat completion call, translated both ways. */
export function createChatExchange(call: ProviderCall, host: GeminiHost): Exchange {
  return new ChatExchange(call, host);
}

class ChatExchange implements Exchange {
  readonly request: UpstreamRequest;
  readonly #provider: string;
  readonly #frame: AnswerFrame;
  readonly #usage = new GeminiUsage();
  readonly #chunks: GeminiChunks;
  /** The answer that was no stream, as the client gets it. */
  #completion: JsonObject | undefined;
  #contentBytes = 0;
  #complete = false;

  constructor(call: ProviderCall, host: GeminiHost) {
    const chat = parseObject(decodeText(call.body));
    if (chat === undefined) throw gatewayError(Reason.INVALID_REQUEST, "The body has to be a JSON object.");
    const { body, shape } = chatToGeminiRequest(chat, call);
    this.request = host.request(call, call.stream ? "streamGenerateContent?alt=sse" : "generateContent", body);
    this.#provider = host.id;
    const { model, createdAt, callId } = call;
    this.#frame = { shape, model, createdAt, id: callId ?? `chatcmpl-${createdAt}` };
    this.#chunks = new GeminiChunks(this.#usage, this.#frame);
  }

  decodeBody(body: Uint8Array): Uint8Array {
    const response = readResponse(this.#provider, decodeText(body));
    const completion = geminiToChatCompletion(response, this.#usage, this.#frame);
    if (completion === undefined) throw this.#broken("answered without a candidate");
    this.#completion = completion;
    this.#complete = true;
    return Buffer.from(JSON.stringify(completion));
  }

  decodeEvents(events: readonly Uint8Array[]): Uint8Array[] {
    const out: Uint8Array[] = [];
    for (const bytes of events) {
      const data = readEventData(bytes);
      if (data === undefined) continue;
      const event = readResponse(this.#provider, data);
      this.#contentBytes += Math.max(1, data.length - eventEnvelope);
      this.#chunks.push(event, out);
    }
    return out;
  }

  finish(): Uint8Array[] {
    if (!this.#chunks.finished) throw this.#broken("ended its stream before a finish reason");
    this.#complete = true;
    return this.#chunks.finish();
  }

  outcome(): Outcome {
    const usage = this.#usage.canonical(this.#complete ? undefined : Math.ceil(this.#contentBytes / bytesPerToken));
    if (this.#completion !== undefined) {
      const [choice] = objectsOf(this.#completion.choices);
      const { model, id } = this.#completion;
      return {
        usage,
        finishReason: textOf(objectOf(choice).finish_reason),
        responseModel: textOf(model),
        responseId: textOf(id),
      };
    }
    const { finishReason, responseModel, responseId } = this.#chunks;
    return { usage, finishReason, responseModel, responseId };
  }

  #broken(what: string): Error {
    return upstreamError(brokenAnswer(this.#provider, what));
  }
}
