import type { Usage } from "#gen/sluice/inference/v1/usage_pb.ts";
import type { JsonObject } from "../../provider.ts";
import { numberOf, objectOf, objectsOf, textOf } from "../json-reading.ts";
import { namedEvent } from "../sse-event.ts";
import { contentText, messageUsage, reasoningText, stopReason } from "./answer.ts";

type BlockKind = "text" | "thinking" | "tool_use";

/**
 * Turns the chunks of a chat completion stream, parsed, into Anthropic's events, in Anthropic's order: `message_start`;
 * per block `content_block_start`, its deltas, `content_block_stop`; `message_delta`; `message_stop`. Blocks follow one
 * another: when the stream turns to another kind of content or another tool, the open block is closed. The input tokens
 * are not known before the end; they stand in `message_delta`.
 */
export class MessageEvents {
  #started = false;
  #open: BlockKind | undefined;
  #blocks = 0;
  /** The tool that is being told: its index in the chunks, and its id. */
  #tool: { readonly index: number; readonly id: string } | undefined;
  #tools = 0;
  readonly #closedTools = new Set<number>();
  #finishReason = "";
  #refused = false;

  /** Takes a chunk. Returns false where it contradicts what was told before and no event can say it. */
  push(chunk: JsonObject, out: Uint8Array[]): boolean {
    const choice = objectsOf(chunk.choices)[0];
    if (choice === undefined) return true;
    const delta = objectOf(choice.delta);
    this.#begin(chunk, out);
    const reasoning = reasoningText(delta);
    if (reasoning !== "") this.#write("thinking", { type: "thinking_delta", thinking: reasoning }, out);
    const text = contentText(delta) + textOf(delta.refusal);
    if (text !== "") this.#write("text", { type: "text_delta", text }, out);
    this.#refused ||= textOf(delta.refusal) !== "";
    for (const call of objectsOf(delta.tool_calls)) {
      if (!this.#call(call, out)) return false;
    }
    this.#finishReason = textOf(choice.finish_reason) || this.#finishReason;
    return true;
  }

  /** The closing events. */
  finish(usage: Usage): Uint8Array[] {
    const out: Uint8Array[] = [];
    this.#begin({}, out);
    this.#close(out);
    const delta = { stop_reason: stopReason(this.#finishReason, this.#tools > 0, this.#refused), stop_sequence: null };
    out.push(event("message_delta", { delta, usage: messageUsage(usage) }), event("message_stop", {}));
    return out;
  }

  #begin(chunk: JsonObject, out: Uint8Array[]): void {
    if (this.#started) return;
    this.#started = true;
    const message: JsonObject = {
      id: textOf(chunk.id),
      type: "message",
      role: "assistant",
      model: textOf(chunk.model),
      content: [],
      stop_reason: null,
      stop_sequence: null,
      usage: { input_tokens: 0, cache_creation_input_tokens: 0, cache_read_input_tokens: 0, output_tokens: 0 },
    };
    out.push(event("message_start", { message }));
  }

  #write(kind: "text" | "thinking", delta: JsonObject, out: Uint8Array[]): void {
    if (this.#open !== kind) {
      this.#close(out);
      const empty: JsonObject =
        kind === "text" ? { type: "text", text: "" } : { type: "thinking", thinking: "", signature: "" };
      this.#start(kind, empty, out);
    }
    this.#delta(delta, out);
  }

  /** Some upstreams give every call the index 0, and only a new id tells that a new call begins. */
  #call(call: JsonObject, out: Uint8Array[]): boolean {
    const index = numberOf(call.index);
    const id = textOf(call.id);
    const named = objectOf(call.function);
    const continued = this.#tool?.index === index && (id === "" || id === this.#tool.id);
    if (!continued || this.#open !== "tool_use") {
      if (textOf(named.name) === "" || (this.#closedTools.has(index) && id === "")) return false;
      this.#close(out);
      const given = id || `call_${this.#tools}`;
      this.#tool = { index, id: given };
      this.#tools += 1;
      this.#start("tool_use", { type: "tool_use", id: given, name: textOf(named.name), input: {} }, out);
    }
    const part = textOf(named.arguments);
    if (part !== "") this.#delta({ type: "input_json_delta", partial_json: part }, out);
    return true;
  }

  #start(kind: BlockKind, block: JsonObject, out: Uint8Array[]): void {
    this.#open = kind;
    out.push(event("content_block_start", { index: this.#blocks, content_block: block }));
  }

  #delta(delta: JsonObject, out: Uint8Array[]): void {
    out.push(event("content_block_delta", { index: this.#blocks, delta }));
  }

  #close(out: Uint8Array[]): void {
    if (this.#open === undefined) return;
    if (this.#open === "tool_use" && this.#tool !== undefined) this.#closedTools.add(this.#tool.index);
    this.#open = undefined;
    out.push(event("content_block_stop", { index: this.#blocks }));
    this.#blocks += 1;
  }
}

function event(type: string, members: JsonObject): Uint8Array {
  return namedEvent(type, JSON.stringify({ type, ...members }));
}
