import { gatewayError, upstreamError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { Exchange, Framing, JsonObject, Outcome, ProviderCall } from "../../provider.ts";
import { countOf, decodeText, objectOf, parseObject } from "../../translate/json-reading.ts";
import { eventName, readEventData } from "../../translate/sse-event.ts";
import { protocolError } from "../openai-compatible/answer.ts";
import { errorInAnswer } from "../openai-compatible/errors.ts";
import { estimatedUsage, readUsage } from "../openai-compatible/usage.ts";
import { ChatChunks } from "./chat-chunks.ts";
import type { ChatAnswer, ChatChoice, ChatDialect, ChatEvent } from "./chat-dialect.ts";

/** Bytes of text for a token: for the estimate of an answer that counts nothing. */
const bytesPerToken = 4;

/** The chat completion that a call asks for. Throws a GatewayError where it is none. */
export function chatOf(call: ProviderCall): JsonObject {
  const chat = parseObject(decodeText(call.body));
  if (chat === undefined) throw gatewayError(Reason.INVALID_REQUEST, "The body has to be a JSON object.");
  return chat;
}

/** A chat completion call over a dialect of the provider's own. `chat` is what `chatOf` read. */
export function createChatDialectExchange(call: ProviderCall, chat: JsonObject, dialect: ChatDialect): Exchange {
  return new ChatDialectExchange(call, chat, dialect);
}

class ChatDialectExchange implements Exchange {
  readonly request: Exchange["request"];
  readonly framing: Framing;
  readonly #dialect: ChatDialect;
  readonly #call: ProviderCall;
  readonly #chunks: ChatChunks;
  readonly #finishReasons = new Map<number, string>();
  /** How many choices the client asked for. */
  readonly #choices: number;
  #usage: JsonObject | undefined;
  #textBytes = 0;
  #isClosed = false;

  constructor(call: ProviderCall, chat: JsonObject, dialect: ChatDialect) {
    this.request = dialect.request;
    this.framing = dialect.framing ?? "sse";
    this.#dialect = dialect;
    this.#call = call;
    this.#choices = countOf(chat.n) ?? 1;
    this.#chunks = new ChatChunks({
      id: `chatcmpl-${(call.callId ?? String(call.createdAt)).replaceAll("-", "")}`,
      model: call.model,
      createdAt: call.createdAt,
      includeUsage: objectOf(chat.stream_options).include_usage === true,
    });
  }

  get progress(): "open" | "closing" | "closed" {
    if (this.#isClosed) return "closed";
    return this.#finishReasons.size < Math.max(this.#choices, 1) ? "open" : "closing";
  }

  decodeBody(body: Uint8Array): Uint8Array {
    const answer = this.#dialect.readAnswer(this.#parse(decodeText(body)));
    if (answer.choices.length === 0) throw protocolError(this.#dialect.id, "the answer has no choice");
    this.#usage = answer.usage;
    if (answer.id !== "") this.#chunks.nameAnswer(answer.id);
    for (const [index, { content, reasoning = "", finishReason }] of answer.choices.entries()) {
      this.#textBytes += content.length + reasoning.length;
      this.#finishReasons.set(index, finishReason);
    }
    return Buffer.from(JSON.stringify(this.#completion(answer)));
  }

  decodeEvents(events: readonly Uint8Array[]): Uint8Array[] {
    const out: Uint8Array[] = [];
    for (const bytes of events) {
      const data = this.framing === "sse" ? readEventData(bytes) : decodeText(bytes);
      if (data === undefined || data.trim() === "" || this.#isClosed) continue;
      if (data.trim() === "[DONE]") this.#isClosed = this.#finishReasons.size > 0;
      else if (data.trim() !== "null")
        this.#push(this.#parse(data), this.framing === "sse" ? eventName(bytes) : "", out);
    }
    return out;
  }

  finish(): Uint8Array[] {
    if (this.#dialect.endsUnannounced === true) {
      for (const index of this.#chunks.begun)
        if (!this.#finishReasons.has(index)) this.#finishReasons.set(index, "stop");
    }
    const isCut = this.#chunks.begun.some((index) => !this.#finishReasons.has(index));
    if (isCut || this.#finishReasons.size === 0) {
      throw protocolError(this.#dialect.id, "the stream ended before the answer was complete");
    }
    return this.#chunks.finish(this.#finishReasons, this.#usage);
  }

  outcome(): Outcome {
    return {
      usage: readUsage(this.#usage) ?? estimatedUsage(this.#textBytes / bytesPerToken),
      finishReason: [...this.#finishReasons.values()].at(-1) ?? "",
      responseModel: "",
      responseId: this.#chunks.id,
    };
  }

  #push(event: JsonObject, name: string, out: Uint8Array[]): void {
    for (const part of [this.#dialect.readEvent(event, name) ?? []].flat()) this.#tell(part, out);
  }

  #tell({ id = "", index = 0, delta = {}, finishReason = "", usage }: ChatEvent, out: Uint8Array[]): void {
    if (id !== "") this.#chunks.nameAnswer(id);
    if (usage !== undefined) this.#usage = usage;
    if (this.#finishReasons.has(index)) return;
    if (Object.keys(delta).length > 0) {
      this.#textBytes += JSON.stringify(delta).length;
      out.push(...this.#chunks.delta(index, delta));
    }
    if (finishReason !== "") this.#finishReasons.set(index, finishReason);
  }

  #parse(text: string): JsonObject {
    const object = text.trimStart().startsWith("[") ? parseObject(`{"items":${text}}`) : parseObject(text);
    if (object === undefined)
      throw protocolError(this.#dialect.id, "the answer holds something that is no JSON object");
    const { error } = object;
    if (error !== undefined && error !== null) throw upstreamError(errorInAnswer(this.#dialect.id, object));
    return object;
  }

  #completion({ choices, usage }: ChatAnswer): JsonObject {
    const { createdAt: created, model } = this.#call;
    const completion: JsonObject = {
      id: this.#chunks.id,
      object: "chat.completion",
      created,
      model,
      choices: choices.map(chatChoice),
    };
    if (usage !== undefined) completion.usage = usage;
    return completion;
  }
}

function chatChoice(choice: ChatChoice, index: number): JsonObject {
  const { content, reasoning = "", toolCalls = [], finishReason, logprobs, providerFields } = choice;
  const message: JsonObject = {
    role: "assistant",
    content: content === "" && toolCalls.length > 0 ? null : content,
    refusal: null,
  };
  if (reasoning !== "") message.reasoning_content = reasoning;
  if (toolCalls.length > 0) message.tool_calls = [...toolCalls];
  if (providerFields !== undefined) message.provider_specific_fields = providerFields;
  return { index, message, finish_reason: finishReason, logprobs: logprobs ?? null };
}
