import type { JsonObject, JsonValue } from "../../provider.ts";
import type { ChatAnswerShape } from "../chat-to-messages/request.ts";
import { listOf, numberOf, objectOf, textOf } from "../json-reading.ts";
import { chatFinishReason, isStandIn, refusalOf } from "./answer.ts";
import { annotationsOf, endingFields, needsBaggage } from "./content-baggage.ts";
import type { MessageUsage } from "./message-usage.ts";

/** A content block as its events have told it so far. */
interface OpenBlock {
  readonly block: JsonObject;
  /** The tool's input as text. */
  input: string;
  /** The dense index of a tool call; -1 for every other block, and for the stand-in JSON tool. */
  readonly call: number;
  readonly standIn: boolean;
}

/**
 * Turns the events of an Anthropic stream, parsed, into chat completion chunks: a reducer, one method per event type.
 * https://platform.claude.com/docs/en/build-with-claude/streaming
 *
 * Nothing is sent before the first content block, so that a failure right after `message_start` can still be retried.
 * Thinking streams as `reasoning_content`; a finished thinking block follows whole, signature included, as
 * `thinking_blocks`. Other blocks follow at the end as baggage where a chat message cannot hold them. A stream that
 * holds several messages (a tool loop run by the provider) is told as one.
 */
export class MessageChunks {
  readonly #usage: MessageUsage;
  readonly #shape: ChatAnswerShape;
  readonly #createdAt: number;
  readonly #suffix: string;
  #prefix = "";
  #message: JsonObject = {};
  #blocks: JsonObject[] = [];
  readonly #open = new Map<number, OpenBlock>();
  #started = false;
  #calls = 0;
  #written = 0;
  #stopped = false;

  constructor(usage: MessageUsage, shape: ChatAnswerShape, createdAt: number) {
    this.#usage = usage;
    this.#shape = shape;
    this.#createdAt = createdAt;
    this.#suffix = shape.includeUsage ? ',"finish_reason":null}],"usage":null}\n\n' : ',"finish_reason":null}]}\n\n';
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  /** The message as far as it was told: id, model, ending, and the blocks that were opened. */
  get message(): JsonObject {
    return { ...this.#message, content: this.#blocks };
  }

  /** Takes an event of a type it knows; events of other types are the provider's to add and mean nothing here. */
  push(event: JsonObject, out: Uint8Array[]): void {
    switch (event.type) {
      case "content_block_delta":
        this.#delta(event, out);
        break;
      case "content_block_start":
        this.#blockStart(event, out);
        break;
      case "content_block_stop":
        this.#blockStop(event, out);
        break;
      case "message_start":
        this.#messageStart(objectOf(event.message));
        break;
      case "message_delta":
        this.#messageDelta(event);
        break;
      case "message_stop":
        this.#stopped = true;
    }
  }

  /** The closing payloads: the finish chunk, the usage chunk if asked for, `[DONE]`. */
  finish(): Uint8Array[] {
    const out: Uint8Array[] = [];
    this.#begin(out);
    const delta: JsonObject = {};
    const refusal = refusalOf(this.#message);
    if (refusal !== null) delta.refusal = refusal;
    const fields: JsonObject = { ...endingFields(this.#message) };
    if (!this.#shape.jsonTool && needsBaggage(this.#blocks)) fields.content_blocks = this.#blocks;
    if (Object.keys(fields).length > 0) delta.provider_specific_fields = fields;
    const reason = chatFinishReason(this.message, this.#shape);
    const ending = `${JSON.stringify(delta)},"finish_reason":${JSON.stringify(reason)}}]`;
    const unused = this.#shape.includeUsage ? ',"usage":null' : "";
    out.push(Buffer.from(`${this.#prefix}${ending}${unused}}\n\n`));
    if (this.#shape.includeUsage) {
      const head = this.#prefix.slice(0, this.#prefix.indexOf('"choices":'));
      out.push(Buffer.from(`${head}"choices":[],"usage":${JSON.stringify(this.#usage.chatUsage())}}\n\n`));
    }
    out.push(Buffer.from("data: [DONE]\n\n"));
    return out;
  }

  #messageStart(message: JsonObject): void {
    if (this.#prefix === "") {
      const head = { id: textOf(message.id), object: "chat.completion.chunk", created: this.#createdAt };
      const model = JSON.stringify(textOf(message.model));
      this.#prefix = `data: ${JSON.stringify(head).slice(0, -1)},"model":${model},"choices":[{"index":0,"delta":`;
      this.#message = message;
    } else {
      this.#usage.nextMessage();
    }
    this.#open.clear();
    this.#stopped = false;
    this.#usage.read(objectOf(message.usage));
  }

  #blockStart(event: JsonObject, out: Uint8Array[]): void {
    this.#begin(out);
    const block = { ...objectOf(event.content_block) };
    const standIn = isStandIn(block, this.#shape);
    const isCall = block.type === "tool_use" && !standIn;
    const call = isCall ? this.#calls++ : -1;
    this.#blocks.push(block);
    this.#open.set(numberOf(event.index), { block, input: "", call, standIn });
    if (isCall) this.#emitCall(block, call, out);
    else if (block.type === "text" && textOf(block.text) !== "") this.#emitText(textOf(block.text), out);
    else if (block.type === "thinking" && textOf(block.thinking) !== "") {
      this.#emit({ reasoning_content: textOf(block.thinking) }, out);
    }
  }

  #delta(event: JsonObject, out: Uint8Array[]): void {
    const delta = objectOf(event.delta);
    const open = this.#open.get(numberOf(event.index));
    if (open === undefined) return;
    const { block } = open;
    switch (delta.type) {
      case "text_delta":
        block.text = textOf(block.text) + textOf(delta.text);
        this.#emitText(textOf(delta.text), out);
        break;
      case "input_json_delta":
        this.#inputDelta(open, textOf(delta.partial_json), out);
        break;
      case "thinking_delta":
        block.thinking = textOf(block.thinking) + textOf(delta.thinking);
        if (textOf(delta.thinking) !== "") this.#emit({ reasoning_content: textOf(delta.thinking) }, out);
        break;
      case "signature_delta":
        block.signature = textOf(block.signature) + textOf(delta.signature);
        break;
      case "citations_delta":
        block.citations = [...listOf(block.citations), delta.citation ?? null];
    }
  }

  #inputDelta(open: OpenBlock, part: string, out: Uint8Array[]): void {
    if (part === "") return;
    open.input += part;
    if (open.standIn) this.#emitText(part, out);
    else if (open.call >= 0) this.#emitArguments(open.call, part, out);
  }

  #blockStop(event: JsonObject, out: Uint8Array[]): void {
    const index = numberOf(event.index);
    const open = this.#open.get(index);
    if (open === undefined) return;
    this.#open.delete(index);
    const { block } = open;
    if (block.type === "text") this.#citations(block, out);
    else if (block.type === "thinking" || block.type === "redacted_thinking") {
      this.#emit({ thinking_blocks: [block] }, out);
    } else if (open.input !== "") block.input = readInput(open.input);
    // A call without input has no deltas; its arguments still have to be JSON.
    else if (open.standIn) this.#emitText(JSON.stringify(block.input ?? {}), out);
    else if (open.call >= 0) this.#emitArguments(open.call, JSON.stringify(block.input ?? {}), out);
  }

  #messageDelta(event: JsonObject): void {
    const { type: _type, delta, usage, ...rest } = event;
    this.#message = { ...this.#message, ...rest, ...objectOf(delta) };
    this.#usage.read(objectOf(usage));
  }

  #citations(block: JsonObject, out: Uint8Array[]): void {
    const citations = listOf(block.citations);
    if (citations.length === 0) return;
    const annotations = annotationsOf(block, this.#written - textOf(block.text).length);
    const fields: JsonObject = { provider_specific_fields: { citations: [citations] } };
    this.#emit(annotations.length > 0 ? { annotations, ...fields } : fields, out);
  }

  #begin(out: Uint8Array[]): void {
    if (this.#started) return;
    this.#started = true;
    this.#emit({ role: "assistant", content: "" }, out);
  }

  #emitText(text: string, out: Uint8Array[]): void {
    if (text === "") return;
    this.#written += text.length;
    out.push(Buffer.from(`${this.#prefix}{"content":${JSON.stringify(text)}}${this.#suffix}`));
  }

  #emitCall(block: JsonObject, call: number, out: Uint8Array[]): void {
    const named = { name: textOf(block.name), arguments: "" };
    if (!this.#shape.legacyFunctions) {
      this.#emit({ tool_calls: [{ index: call, id: textOf(block.id), type: "function", function: named }] }, out);
    } else if (call === 0) this.#emit({ function_call: named }, out);
  }

  #emitArguments(call: number, part: string, out: Uint8Array[]): void {
    if (!this.#shape.legacyFunctions) {
      this.#emit({ tool_calls: [{ index: call, function: { arguments: part } }] }, out);
    } else if (call === 0) this.#emit({ function_call: { arguments: part } }, out);
  }

  #emit(delta: JsonObject, out: Uint8Array[]): void {
    out.push(Buffer.from(`${this.#prefix}${JSON.stringify(delta)}${this.#suffix}`));
  }
}

/** The input of a finished tool block. One that was cut off by the output limit stays text. */
function readInput(text: string): JsonValue {
  try {
    const value: JsonValue = JSON.parse(text);
    return value;
  } catch {
    return text;
  }
}
