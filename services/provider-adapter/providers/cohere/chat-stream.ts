import type { JsonObject } from "../../provider.ts";
import { numberOf, objectOf, textOf } from "../../translate/json-reading.ts";
import { finishReasonOf, tokenLogprobs } from "./chat-answer.ts";
import { chatUsage } from "./usage.ts";

interface ChunkShape {
  readonly model: string;
  readonly createdAt: number;
  /** A stream ends with a usage chunk (`stream_options.include_usage`). */
  readonly includeUsage: boolean;
}

/**
 * Turns the events of a Cohere stream, parsed, into chat completion chunks: a reducer, one method per event type.
 * https://docs.cohere.com/v2/docs/streaming. Nothing is sent before the first content, so that a failure right after
 * `message-start` can still be retried.
 */
export class CohereChunks {
  readonly #shape: ChunkShape;
  readonly #calls = new Map<number, number>();
  #id = "";
  #prefix = "";
  #plan = "";
  #usage: JsonObject | undefined;
  #finishReason = "";
  #started = false;

  constructor(shape: ChunkShape) {
    this.#shape = shape;
  }

  /** Empty until `message-end`. */
  get finishReason(): string {
    return this.#finishReason;
  }

  get id(): string {
    return this.#id;
  }

  /** Cohere's own words; undefined until `message-end`. */
  get usage(): JsonObject | undefined {
    return this.#usage;
  }

  /** Takes an event of a type it knows; events of other types are the provider's to add and mean nothing here. */
  push(event: JsonObject, out: Uint8Array[]): void {
    const message = objectOf(objectOf(event.delta).message);
    switch (event.type) {
      case "content-delta":
      case "content-start":
        this.#content(event, objectOf(message.content), out);
        break;
      case "tool-plan-delta":
        this.#toolPlan(textOf(message.tool_plan), out);
        break;
      case "tool-call-start":
        this.#toolCallStart(numberOf(event.index), objectOf(message.tool_calls), out);
        break;
      case "tool-call-delta":
        this.#toolCallDelta(numberOf(event.index), objectOf(message.tool_calls), out);
        break;
      case "citation-start":
        this.#citation(objectOf(message.citations), out);
        break;
      case "message-start":
        this.#id = textOf(event.id);
        break;
      case "message-end":
        this.#messageEnd(objectOf(event.delta));
    }
  }

  /** The closing payloads: the finish chunk, the usage chunk if asked for, `[DONE]`. */
  finish(): Uint8Array[] {
    const out: Uint8Array[] = [];
    this.#begin(out);
    const delta: JsonObject = this.#plan === "" ? {} : { provider_specific_fields: { tool_plan: this.#plan } };
    this.#emit(delta, out, this.#finishReason);
    const usage = chatUsage(this.#usage);
    if (this.#shape.includeUsage && usage !== undefined) {
      out.push(Buffer.from(`${this.#prefix}"choices":[],"usage":${JSON.stringify(usage)}}\n\n`));
    }
    out.push(Buffer.from("data: [DONE]\n\n"));
    return out;
  }

  #content(event: JsonObject, content: JsonObject, out: Uint8Array[]): void {
    const text = textOf(content.text);
    const thinking = textOf(content.thinking);
    if (thinking !== "") this.#send({ reasoning_content: thinking }, out);
    if (text === "") return;
    const logprobs = tokenLogprobs(event.logprobs ?? objectOf(event.delta).logprobs);
    this.#begin(out);
    this.#emit({ content: text }, out, undefined, logprobs);
  }

  #toolPlan(plan: string, out: Uint8Array[]): void {
    if (plan === "") return;
    this.#plan += plan;
    this.#send({ reasoning_content: plan }, out);
  }

  #toolCallStart(index: number, call: JsonObject, out: Uint8Array[]): void {
    const dense = this.#calls.size;
    this.#calls.set(index, dense);
    const { name, arguments: args } = objectOf(call.function);
    const named = { name: textOf(name), arguments: textOf(args) };
    this.#send({ tool_calls: [{ index: dense, id: textOf(call.id), type: "function", function: named }] }, out);
  }

  #toolCallDelta(index: number, call: JsonObject, out: Uint8Array[]): void {
    const args = textOf(objectOf(call.function).arguments);
    const dense = this.#calls.get(index);
    if (dense !== undefined && args !== "") {
      this.#send({ tool_calls: [{ index: dense, function: { arguments: args } }] }, out);
    }
  }

  #citation(citation: JsonObject, out: Uint8Array[]): void {
    this.#send({ provider_specific_fields: { citations: [citation] } }, out);
  }

  #messageEnd(delta: JsonObject): void {
    this.#finishReason = finishReasonOf(textOf(delta.finish_reason), textOf(delta.error));
    this.#usage = objectOf(delta.usage);
  }

  #send(delta: JsonObject, out: Uint8Array[]): void {
    this.#begin(out);
    this.#emit(delta, out);
  }

  #begin(out: Uint8Array[]): void {
    if (this.#started) return;
    this.#started = true;
    const { model, createdAt } = this.#shape;
    const head = { id: this.#id, object: "chat.completion.chunk", created: createdAt, model };
    this.#prefix = `data: ${JSON.stringify(head).slice(0, -1)},`;
    this.#emit({ role: "assistant", content: "" }, out);
  }

  #emit(delta: JsonObject, out: Uint8Array[], finishReason = "", logprobs: readonly JsonObject[] = []): void {
    const probabilities = logprobs.length > 0 ? `,"logprobs":${JSON.stringify({ content: logprobs })}` : "";
    const reason = finishReason === "" ? "null" : JSON.stringify(finishReason);
    const choice = `{"index":0,"delta":${JSON.stringify(delta)}${probabilities},"finish_reason":${reason}}`;
    const usage = this.#shape.includeUsage ? ',"usage":null' : "";
    out.push(Buffer.from(`${this.#prefix}"choices":[${choice}]${usage}}\n\n`));
  }
}
