import { create } from "@bufbuild/protobuf";
import { gatewayError, upstreamError } from "#chassis/errors.ts";
import { Reason, UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import { UsageSchema } from "#gen/sluice/inference/v1/usage_pb.ts";
import type { Exchange, JsonObject, Outcome, ProviderCall } from "../../provider.ts";
import { decodeText, objectOf, objectsOf, parseObject, textOf } from "../../translate/json-reading.ts";
import { dataEvent } from "../../translate/sse-event.ts";
import { errorInAnswer } from "../openai-compatible/errors.ts";
import { chatToolCall, chatUsage, finishReasonOf, readUsage } from "./chat-answer.ts";
import { chatToOllamaRequest } from "./chat-request.ts";
import { upstreamRequest } from "./upstream-request.ts";

export const providerId = "ollama_chat";

/** A chat completion call, translated both ways. A stream is one JSON object a line, the last one with `done`. */
export function createChatExchange(call: ProviderCall): Exchange {
  return new ChatExchange(call);
}

class ChatExchange implements Exchange {
  readonly request: Exchange["request"];
  readonly framing = "ndjson";
  readonly #head: JsonObject;
  readonly #id: string;
  readonly #includeUsage: boolean;
  /** The answer, or the last line of a stream. */
  #last: JsonObject = {};
  #started = false;
  #calls = 0;
  #pieces = 0;
  #finishReason = "";

  constructor(call: ProviderCall) {
    const chat = parseObject(decodeText(call.body));
    if (chat === undefined) throw gatewayError(Reason.INVALID_REQUEST, "The body has to be a JSON object.");
    this.request = upstreamRequest(call, chatToOllamaRequest(chat, call));
    this.#id = (call.callId ?? String(call.createdAt)).replaceAll("-", "");
    this.#includeUsage = objectOf(chat.stream_options).include_usage === true;
    this.#head = { id: `chatcmpl-${this.#id}`, created: call.createdAt, model: call.model };
  }

  get progress(): "open" | "closed" {
    return this.#finishReason === "" ? "open" : "closed";
  }

  decodeBody(body: Uint8Array): Uint8Array {
    const answer = this.#read(body);
    const message = objectOf(answer.message);
    // The last line of a stream may lack one; an answer without one says nothing.
    if (message.role === undefined) throw broken("the answer has no message");
    const calls = objectsOf(message.tool_calls).map((call, index) => chatToolCall(call, this.#id, index));
    const content = textOf(message.content);
    const told: JsonObject = { role: "assistant", content: content === "" && calls.length > 0 ? null : content };
    if (textOf(message.thinking) !== "") told.reasoning_content = textOf(message.thinking);
    if (calls.length > 0) told.tool_calls = calls;
    this.#finishReason = finishReasonOf(textOf(answer.done_reason), calls.length > 0);
    this.#last = answer;
    const choice = { index: 0, message: { ...told, refusal: null }, finish_reason: this.#finishReason, logprobs: null };
    const completion = { object: "chat.completion", ...this.#head, choices: [choice], usage: chatUsage(answer) };
    return Buffer.from(JSON.stringify(completion));
  }

  decodeEvents(lines: readonly Uint8Array[]): Uint8Array[] {
    const out: Uint8Array[] = [];
    for (const line of lines) if (this.#finishReason === "") this.#push(this.#read(line), out);
    return out;
  }

  finish(): Uint8Array[] {
    if (this.#finishReason === "") throw broken("the stream ended before the answer was complete");
    const out: Uint8Array[] = [];
    this.#begin(out);
    out.push(this.#chunk({}, this.#finishReason));
    if (this.#includeUsage) {
      const usage = { object: "chat.completion.chunk", ...this.#head, choices: [], usage: chatUsage(this.#last) };
      out.push(dataEvent(JSON.stringify(usage)));
    }
    return [...out, dataEvent("[DONE]")];
  }

  outcome(): Outcome {
    return {
      usage: readUsage(this.#last) ?? create(UsageSchema, { outputTokens: BigInt(this.#pieces), estimated: true }),
      finishReason: this.#finishReason,
      responseModel: textOf(this.#last.model),
      responseId: `chatcmpl-${this.#id}`,
    };
  }

  #read(bytes: Uint8Array): JsonObject {
    const answer = parseObject(decodeText(bytes));
    if (answer === undefined) throw broken("the answer holds something that is no JSON object");
    if (answer.error !== undefined) throw upstreamError(errorInAnswer(providerId, answer));
    if (objectOf(answer.message).role === undefined && answer.done !== true) throw broken("the answer has no message");
    return answer;
  }

  /** Every line with something in it is a token at least. */
  #push(line: JsonObject, out: Uint8Array[]): void {
    const message = objectOf(line.message);
    const thinking = textOf(message.thinking);
    const content = textOf(message.content);
    if (thinking !== "") this.#send({ reasoning_content: thinking }, out);
    if (content !== "") this.#send({ content }, out);
    for (const call of objectsOf(message.tool_calls)) {
      const index = this.#calls;
      this.#calls += 1;
      this.#send({ tool_calls: [{ index, ...chatToolCall(call, this.#id, index) }] }, out);
    }
    if (line.done !== true) return;
    this.#last = line;
    this.#finishReason = finishReasonOf(textOf(line.done_reason), this.#calls > 0);
  }

  #send(delta: JsonObject, out: Uint8Array[]): void {
    this.#begin(out);
    this.#pieces += 1;
    out.push(this.#chunk(delta));
  }

  #begin(out: Uint8Array[]): void {
    if (this.#started) return;
    this.#started = true;
    out.push(this.#chunk({ role: "assistant", content: "" }));
  }

  #chunk(delta: JsonObject, finishReason: string | null = null): Uint8Array {
    const choices = [{ index: 0, delta, finish_reason: finishReason }];
    const chunk: JsonObject = { object: "chat.completion.chunk", ...this.#head, choices };
    if (this.#includeUsage) chunk.usage = null;
    return dataEvent(JSON.stringify(chunk));
  }
}

function broken(what: string): Error {
  return upstreamError({
    kind: UpstreamErrorKind.BAD_GATEWAY,
    httpStatus: 502,
    provider: providerId,
    retryable: true,
    message: `${providerId}: ${what}`,
  });
}
