import type { JsonObject, JsonValue } from "../../services/provider-adapter/provider.ts";
import {
  numberOf,
  objectOf,
  objectsOf,
  parseObject,
  textOf,
} from "../../services/provider-adapter/translate/json-reading.ts";
import type { Recording } from "./recording.ts";
import { readSse } from "./sse-reading.ts";

/** What an answer of Anthropic's Messages API says, streamed or not, read by code that the gateway has no part in. */
export interface RecordedMessage {
  text: string;
  thinking: string;
  readonly tools: { id: string; name: string; input: JsonValue; partial: string }[];
  stopReason: string;
  usage: JsonObject;
  /** Sums over the messages of a stream that holds several. */
  earlier: { input: number; output: number };
}

export function readMessage({ response }: Recording): RecordedMessage {
  const message: RecordedMessage = {
    text: "",
    thinking: "",
    tools: [],
    stopReason: "",
    usage: {},
    earlier: { input: 0, output: 0 },
  };
  const text = textOf(response.body);
  if (response.kind !== "sse") {
    const body = objectOf(parseObject(text));
    for (const block of objectsOf(body.content)) readBlock(message, block);
    message.stopReason = textOf(body.stop_reason);
    message.usage = objectOf(body.usage);
    return message;
  }
  for (const { data } of readSse(text)) readEvent(message, objectOf(data));
  for (const tool of message.tools) if (tool.partial !== "") tool.input = JSON.parse(tool.partial);
  return message;
}

/** The tokens of the input, read from a cache or written to one included. */
export function inputTokensOf(usage: JsonObject): number {
  return (
    numberOf(usage.input_tokens) + numberOf(usage.cache_read_input_tokens) + numberOf(usage.cache_creation_input_tokens)
  );
}

/** Anthropic's stop reasons in OpenAI's words. */
export const finishReasons: Readonly<Record<string, string>> = {
  end_turn: "stop",
  stop_sequence: "stop",
  pause_turn: "stop",
  max_tokens: "length",
  tool_use: "tool_calls",
  refusal: "content_filter",
};

function readBlock(message: RecordedMessage, block: JsonObject): void {
  if (block.type === "text") message.text += textOf(block.text);
  if (block.type === "thinking") message.thinking += textOf(block.thinking);
  if (block.type === "tool_use") {
    message.tools.push({ id: textOf(block.id), name: textOf(block.name), input: block.input ?? {}, partial: "" });
  }
}

function readEvent(message: RecordedMessage, event: JsonObject): void {
  const delta = objectOf(event.delta);
  const last = message.tools.at(-1);
  if (event.type === "message_start") {
    message.earlier.input += inputTokensOf(message.usage);
    message.earlier.output += numberOf(message.usage.output_tokens);
    message.usage = { ...objectOf(objectOf(event.message).usage) };
  }
  if (event.type === "content_block_start") {
    readBlock(message, objectOf(event.content_block));
    if (objectOf(event.content_block).type === "server_tool_use") message.tools.push(serverTool);
  }
  if (event.type === "message_delta") {
    message.stopReason = textOf(delta.stop_reason);
    Object.assign(message.usage, objectOf(event.usage));
  }
  if (event.type === "content_block_stop" && last === serverTool) message.tools.pop();
  if (delta.type === "text_delta") message.text += textOf(delta.text);
  if (delta.type === "thinking_delta") message.thinking += textOf(delta.thinking);
  if (delta.type === "input_json_delta" && last !== undefined && last !== serverTool) {
    last.partial += textOf(delta.partial_json);
  }
}

/** Stands for a server tool while its input streams by. */
const serverTool = { id: "", name: "", input: null, partial: "" };
