import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { JsonObject, JsonValue } from "../../provider.ts";
import { isObject, listOf, objectOf, objectsOf, parseObject, textOf } from "../json-reading.ts";
import { contentBlocks, markLastBlock } from "./request-content.ts";

/** The messages of an Anthropic request, and its system prompt: empty, one plain text, or blocks. */
export interface AnthropicMessages {
  readonly messages: JsonObject[];
  readonly system: JsonValue | undefined;
}

interface Turn {
  readonly role: "user" | "assistant";
  readonly content: JsonObject[];
}

/**
 * Turns chat messages into Anthropic's. `system` and `developer` messages, wherever they stand, become the system prompt
 * in their order. Tool results become blocks of a user message. Consecutive messages of one role become one message,
 * because all results of parallel calls have to stand in one. `name` of a message has no counterpart and is left out.
 * An assistant message gets back what an answer carried as baggage: `thinking_blocks`, and
 * `provider_specific_fields.content_blocks` (as long as text and tool calls still agree with it).
 */
export function anthropicMessages(messages: JsonValue | undefined): AnthropicMessages {
  if (!Array.isArray(messages)) {
    throw gatewayError(Reason.INVALID_REQUEST, "'messages' has to be an array.", { param: "messages" });
  }
  const system: JsonObject[] = [];
  const turns: Turn[] = [];
  const reader = new MessageReader();
  for (const message of messages) {
    if (!isObject(message)) {
      throw gatewayError(Reason.INVALID_REQUEST, "Every message has to be an object.", { param: "messages" });
    }
    if (message.role === "system" || message.role === "developer") system.push(...plainBlocks(message));
    else append(turns, reader.read(message));
  }
  trimPrefill(turns.at(-1));
  // A chat may consist of instructions alone; Anthropic wants somebody to answer.
  if (turns.length === 0 && system.length > 0) {
    return { messages: [{ role: "user", content: system }], system: undefined };
  }
  return { messages: turns.map(compactTurn), system: systemPrompt(system) };
}

class MessageReader {
  #legacyCalls = 0;

  read(message: JsonObject): Turn {
    switch (message.role) {
      case "user":
        return { role: "user", content: plainBlocks(message) };
      case "assistant":
        return { role: "assistant", content: this.#assistantBlocks(message) };
      case "tool":
        return { role: "user", content: [toolResult(message, textOf(message.tool_call_id))] };
      case "function":
        return { role: "user", content: [toolResult(message, `function_call_${this.#legacyCalls}`)] };
      default:
        throw gatewayError(Reason.INVALID_REQUEST, `A message has the unknown role '${textOf(message.role)}'.`, {
          param: "messages",
        });
    }
  }

  #assistantBlocks(message: JsonObject): JsonObject[] {
    const native = baggage(message);
    if (native !== undefined) return native;
    const blocks = [...thinkingBlocks(message), ...contentBlocks(message.content, "assistant")];
    if (blocks.length === 0 && typeof message.refusal === "string" && message.refusal !== "") {
      blocks.push({ type: "text", text: message.refusal });
    }
    for (const call of objectsOf(message.tool_calls)) blocks.push(toolUse(call));
    if (isObject(message.function_call)) {
      this.#legacyCalls += 1;
      blocks.push(toolUse({ id: `function_call_${this.#legacyCalls}`, function: message.function_call }));
    }
    markLastBlock(blocks, message.cache_control);
    return blocks;
  }
}

function plainBlocks(message: JsonObject): JsonObject[] {
  const blocks = contentBlocks(message.content, textOf(message.role));
  markLastBlock(blocks, message.cache_control);
  return blocks;
}

/** Thinking that Anthropic signed. Without its signature, as other providers give it, Anthropic would refuse it. */
function thinkingBlocks(message: JsonObject): JsonObject[] {
  return objectsOf(message.thinking_blocks).filter(
    (block) => textOf(block.signature) !== "" || block.type === "redacted_thinking",
  );
}

function baggage(message: JsonObject): JsonObject[] | undefined {
  const blocks = objectsOf(objectOf(message.provider_specific_fields).content_blocks);
  if (blocks.length === 0) return undefined;
  const text = blocks.map((block) => (block.type === "text" ? textOf(block.text) : "")).join("");
  const own = contentBlocks(message.content, "assistant").map((block) => textOf(block.text));
  const calls = blocks.filter((block) => block.type === "tool_use").map((block) => textOf(block.id));
  const ownCalls = objectsOf(message.tool_calls).map((call) => textOf(call.id));
  const same =
    text === own.join("") && calls.length === ownCalls.length && calls.every((id, at) => id === ownCalls[at]);
  return same ? blocks.map((block) => ({ ...block })) : undefined;
}

function toolUse(call: JsonObject): JsonObject {
  const named = objectOf(call.function);
  const block: JsonObject = {
    type: "tool_use",
    id: toolId(textOf(call.id)),
    name: textOf(named.name),
    input: toolInput(textOf(named.arguments)),
  };
  if (isObject(call.cache_control)) block.cache_control = call.cache_control;
  return block;
}

/**
 * Arguments as the object that Anthropic wants. Models do write arguments that are no JSON object (cut off by the output
 * limit, say); refusing them would make such a conversation impossible to continue, so they are wrapped.
 */
function toolInput(text: string): JsonObject {
  return text.trim() === "" ? {} : (parseObject(text) ?? { invalid_arguments: text });
}

/** Anthropic allows letters, digits, `_` and `-` in an id; other providers' ids may hold more. */
function toolId(id: string): string {
  return id.replace(/[^a-zA-Z0-9_-]/g, "_");
}

function toolResult(message: JsonObject, id: string): JsonObject {
  const block: JsonObject = { type: "tool_result", tool_use_id: toolId(id) };
  if (typeof message.content === "string") block.content = message.content;
  else if (listOf(message.content).length > 0) block.content = contentBlocks(message.content, "tool");
  if (typeof message.is_error === "boolean") block.is_error = message.is_error;
  if (isObject(message.cache_control)) block.cache_control = message.cache_control;
  return block;
}

function append(turns: Turn[], turn: Turn): void {
  const last = turns.at(-1);
  if (last?.role === turn.role) last.content.push(...turn.content);
  else if (turn.content.length > 0) turns.push(turn);
}

/** Anthropic refuses a last assistant text, a prefill, that ends in white space. */
function trimPrefill(turn: Turn | undefined): void {
  const block = turn?.content.at(-1);
  if (turn?.role === "assistant" && block?.type === "text") block.text = textOf(block.text).trimEnd();
}

function compactTurn(turn: Turn): JsonObject {
  const [only, second] = turn.content;
  const plain = second === undefined && only?.type === "text" && Object.keys(only).length === 2;
  return { role: turn.role, content: plain ? textOf(only.text) : turn.content };
}

function systemPrompt(blocks: JsonObject[]): JsonValue | undefined {
  const [only, second] = blocks;
  if (only === undefined) return undefined;
  const plain = second === undefined && only.type === "text" && Object.keys(only).length === 2;
  return plain ? textOf(only.text) : blocks;
}
