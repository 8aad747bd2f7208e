import { upstreamError } from "#chassis/errors.ts";
import type { JsonObject } from "../../provider.ts";
import { isObject, listOf, numberOf, objectOf, objectsOf, textOf } from "../../translate/json-reading.ts";
import { citationOf, messageEnding, messageUsage, toolResultBlock, toolUseBlock } from "./answer.ts";
import { brokenAnswer } from "./classify-error.ts";

/** Takes the events of an Anthropic stream, parsed. */
export type MessageEventSink = (event: JsonObject) => void;

interface OpenBlock {
  /** What is told of it only when it is complete. */
  readonly held: JsonObject | undefined;
}

/**
 * Turns the events of a ConverseStream, parsed, into those of an Anthropic message: a reducer, one method per event type.
 * https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html
 *
 * Bedrock tells the start of tool calls alone, so that other blocks begin with their first delta; and it tells the usage
 * behind the end of the message, so that the end is held back until then. Nothing is told before the first block.
 */
export class ConverseEvents {
  readonly #sink: MessageEventSink;
  readonly #head: JsonObject;
  readonly #open = new Map<number, OpenBlock>();
  #started = false;
  #ending: JsonObject | undefined;
  #usage: JsonObject | undefined;
  #finished = false;

  constructor(id: string, model: string, sink: MessageEventSink) {
    this.#head = { id, type: "message", role: "assistant", model, content: [], stop_reason: null, stop_sequence: null };
    this.#sink = sink;
  }

  /** `closing` once the message has ended, `closed` once its usage came, which is the last event of a stream. */
  get progress(): "open" | "closing" | "closed" {
    if (this.#ending === undefined) return "open";
    return this.#usage === undefined ? "closing" : "closed";
  }

  /** Takes an event of a type it knows; events of other types are Bedrock's to add and mean nothing here. */
  push(type: string, event: JsonObject): void {
    switch (type) {
      case "contentBlockDelta":
        this.#delta(numberOf(event.contentBlockIndex), objectOf(event.delta));
        break;
      case "contentBlockStart":
        this.#blockStart(numberOf(event.contentBlockIndex), objectOf(event.start));
        break;
      case "contentBlockStop":
        this.#blockStop(numberOf(event.contentBlockIndex));
        break;
      case "messageStop":
        this.#ending = messageEnding(event);
        break;
      case "metadata":
        this.#usage = messageUsage(objectOf(event.usage));
    }
  }

  /** The stream is over and its message has ended: tells the end. */
  finish(): void {
    if (this.#finished || this.#ending === undefined) return;
    this.#finished = true;
    this.#begin();
    for (const index of [...this.#open.keys()]) this.#blockStop(index);
    this.#sink({ type: "message_delta", delta: this.#ending, usage: this.#usage ?? {} });
    this.#sink({ type: "message_stop" });
  }

  #begin(): void {
    if (this.#started) return;
    this.#started = true;
    const usage = { input_tokens: 0, output_tokens: 0, cache_read_input_tokens: 0, cache_creation_input_tokens: 0 };
    this.#sink({ type: "message_start", message: { ...this.#head, usage } });
  }

  #blockStart(index: number, start: JsonObject): void {
    if (isObject(start.toolUse)) this.#startBlock(index, toolUseBlock(start.toolUse, {}));
    else if (isObject(start.toolResult)) this.#hold(index, { content: [], ...toolResultBlock(start.toolResult) });
  }

  #delta(index: number, delta: JsonObject): void {
    if (typeof delta.text === "string") this.#text(index, delta.text);
    else if (isObject(delta.toolUse)) {
      this.#deltaOf(index, { type: "input_json_delta", partial_json: textOf(delta.toolUse.input) });
    } else if (isObject(delta.reasoningContent)) this.#reasoning(index, delta.reasoningContent);
    else if (isObject(delta.citation)) {
      this.#startOnce(index, { type: "text", text: "" });
      this.#deltaOf(index, { type: "citations_delta", citation: citationOf(delta.citation) });
    } else if (Array.isArray(delta.toolResult)) {
      const { held } = this.#hold(index, { type: "tool_result", content: [] });
      if (held !== undefined) held.content = [...listOf(held.content), ...objectsOf(delta.toolResult)];
    }
  }

  #text(index: number, text: string): void {
    this.#startOnce(index, { type: "text", text: "" });
    this.#deltaOf(index, { type: "text_delta", text });
  }

  #reasoning(index: number, reasoning: JsonObject): void {
    if (typeof reasoning.redactedContent === "string") {
      const { held } = this.#hold(index, { type: "redacted_thinking", data: "" });
      if (held !== undefined) held.data = textOf(held.data) + reasoning.redactedContent;
      return;
    }
    this.#startOnce(index, { type: "thinking", thinking: "", signature: "" });
    if (typeof reasoning.text === "string") {
      this.#deltaOf(index, { type: "thinking_delta", thinking: reasoning.text });
    }
    if (typeof reasoning.signature === "string") {
      this.#deltaOf(index, { type: "signature_delta", signature: reasoning.signature });
    }
  }

  #startOnce(index: number, block: JsonObject): void {
    if (!this.#open.has(index)) this.#startBlock(index, block);
  }

  #startBlock(index: number, block: JsonObject): void {
    this.#begin();
    this.#open.set(index, { held: undefined });
    this.#sink({ type: "content_block_start", index, content_block: block });
  }

  /** A block whose content no delta of Anthropic's can tell is told whole at its end. */
  #hold(index: number, block: JsonObject): OpenBlock {
    const known = this.#open.get(index);
    if (known !== undefined) return known;
    this.#begin();
    const open: OpenBlock = { held: block };
    this.#open.set(index, open);
    return open;
  }

  #deltaOf(index: number, delta: JsonObject): void {
    if (!this.#open.has(index))
      throw upstreamError(brokenAnswer("Bedrock sent the input of a tool call before its name"));
    this.#sink({ type: "content_block_delta", index, delta });
  }

  #blockStop(index: number): void {
    const open = this.#open.get(index);
    if (open === undefined) return;
    this.#open.delete(index);
    if (open.held !== undefined) this.#sink({ type: "content_block_start", index, content_block: open.held });
    this.#sink({ type: "content_block_stop", index });
  }
}
