import { gatewayError, upstreamError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { Exchange, JsonObject, Outcome, ProviderCall } from "../../provider.ts";
import type { ClaudeModel } from "../../translate/chat-to-messages/claude-models.ts";
import { type ChatAnswerShape, chatToMessagesRequest } from "../../translate/chat-to-messages/request.ts";
import { finishReasonOf } from "../../translate/finish-reason.ts";
import { decodeText, objectOf, parseObject, textOf } from "../../translate/json-reading.ts";
import { messageToChatCompletion } from "../../translate/messages-to-chat/answer.ts";
import { MessageUsage } from "../../translate/messages-to-chat/message-usage.ts";
import { MessageChunks } from "../../translate/messages-to-chat/stream.ts";
import { readEventData } from "../../translate/sse-event.ts";
import { brokenAnswer, classifyErrorObject } from "./classify-error.ts";
import { upstreamRequest } from "./upstream-request.ts";

/** Length of a delta's data without its text, and bytes of text for a token: for the estimate of an aborted stream. */
const deltaEnvelope = 80;
const bytesPerToken = 4;

/** A chat completion call, translated both ways. `offers`: what differs at the address from what the model can do. */
export function createChatExchange(call: ProviderCall, offers: Partial<ClaudeModel> = {}): Exchange {
  return new ChatExchange(call, offers);
}

class ChatExchange implements Exchange {
  readonly request: Exchange["request"];
  readonly #call: ProviderCall;
  readonly #shape: ChatAnswerShape;
  readonly #usage = new MessageUsage();
  readonly #chunks: MessageChunks;
  /** The answer that was no stream. */
  #answer: JsonObject | undefined;
  #contentBytes = 0;
  #complete = false;

  constructor(call: ProviderCall, offers: Partial<ClaudeModel>) {
    const chat = parseObject(decodeText(call.body));
    if (chat === undefined) throw gatewayError(Reason.INVALID_REQUEST, "The body has to be a JSON object.");
    const { body, betas, shape } = chatToMessagesRequest(chat, call, offers);
    this.request = upstreamRequest(call, Buffer.from(JSON.stringify(body)), betas);
    this.#call = call;
    this.#shape = shape;
    this.#chunks = new MessageChunks(this.#usage, shape, call.createdAt);
  }

  /** Behind `message_stop` another message may follow: a tool loop that the provider runs is told as several. */
  get progress(): "open" | "closing" {
    return this.#chunks.stopped ? "closing" : "open";
  }

  decodeBody(body: Uint8Array): Uint8Array {
    const message = parseObject(decodeText(body));
    if (message?.type === "error") throw upstreamError(classifyErrorObject(message));
    if (message === undefined || !Array.isArray(message.content)) {
      throw upstreamError(brokenAnswer("Anthropic's answer is not a message"));
    }
    this.#usage.read(objectOf(message.usage));
    this.#answer = message;
    this.#complete = true;
    const completion = messageToChatCompletion(message, this.#usage, this.#shape, this.#call.createdAt);
    return Buffer.from(JSON.stringify(completion));
  }

  decodeEvents(events: readonly Uint8Array[]): Uint8Array[] {
    const out: Uint8Array[] = [];
    for (const bytes of events) {
      const data = readEventData(bytes);
      if (data === undefined) continue;
      const event = parseObject(data);
      if (event === undefined) throw upstreamError(brokenAnswer("Anthropic sent an event that is not JSON"));
      if (event.type === "error") throw upstreamError(classifyErrorObject(event));
      if (event.type === "content_block_delta") this.#contentBytes += Math.max(1, data.length - deltaEnvelope);
      else if (event.type === "message_delta") this.#complete = true;
      this.#chunks.push(event, out);
    }
    return out;
  }

  finish(): Uint8Array[] {
    if (!this.#chunks.stopped) throw upstreamError(brokenAnswer("Anthropic's stream ended before message_stop"));
    this.#complete = true;
    return this.#chunks.finish();
  }

  outcome(): Outcome {
    const message = this.#answer ?? this.#chunks.message;
    return {
      usage: this.#usage.canonical(this.#complete ? undefined : Math.ceil(this.#contentBytes / bytesPerToken)),
      finishReason: finishReasonOf(textOf(message.stop_reason)),
      responseModel: textOf(message.model),
      responseId: textOf(message.id),
    };
  }
}
