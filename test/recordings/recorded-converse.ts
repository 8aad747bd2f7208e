import type { JsonObject, JsonValue } from "../../services/provider-adapter/provider.ts";
import {
  numberOf,
  objectOf,
  objectsOf,
  parseObject,
  textOf,
} from "../../services/provider-adapter/translate/json-reading.ts";
import type { Recording } from "./recording.ts";

/** What an answer of Bedrock's Converse says, streamed or not, read by code that the gateway has no part in. */
export interface RecordedConverse {
  text: string;
  reasoning: string;
  signature: string;
  /** Calls of the client's tools. */
  readonly tools: { id: string; name: string; input: JsonValue }[];
  stopReason: string;
  /** All input, cached included. */
  inputTokens: number;
  cacheRead: number;
  outputTokens: number;
}

export function readConverse({ response }: Recording, bytes: Buffer): RecordedConverse {
  const recorded: RecordedConverse = {
    text: "",
    reasoning: "",
    signature: "",
    tools: [],
    stopReason: "",
    inputTokens: 0,
    cacheRead: 0,
    outputTokens: 0,
  };
  if (response.kind === "aws-eventstream") readStream(recorded, bytes);
  else {
    const answer = objectOf(parseObject(bytes.toString()));
    for (const block of objectsOf(objectOf(objectOf(answer.output).message).content)) readBlock(recorded, block);
    recorded.stopReason = textOf(answer.stopReason);
    readUsage(recorded, objectOf(answer.usage));
  }
  return recorded;
}

function readUsage(recorded: RecordedConverse, usage: JsonObject): void {
  recorded.cacheRead = numberOf(usage.cacheReadInputTokens);
  recorded.inputTokens = numberOf(usage.inputTokens) + recorded.cacheRead + numberOf(usage.cacheWriteInputTokens);
  recorded.outputTokens = numberOf(usage.outputTokens);
}

function readBlock(recorded: RecordedConverse, block: JsonObject): void {
  recorded.text += textOf(block.text);
  for (const part of objectsOf(objectOf(block.citationsContent).content)) recorded.text += textOf(part.text);
  const { text, signature } = objectOf(objectOf(block.reasoningContent).reasoningText);
  recorded.reasoning += textOf(text);
  recorded.signature += textOf(signature);
  const { toolUseId, name, input, type } = objectOf(block.toolUse);
  if (typeof name === "string" && type !== "server_tool_use") {
    recorded.tools.push({ id: textOf(toolUseId), name, input: input ?? {} });
  }
}

function readStream(recorded: RecordedConverse, bytes: Buffer): void {
  const inputs = new Map<number, { text: string; tool: RecordedConverse["tools"][number] }>();
  for (const event of framePayloads(bytes)) {
    const index = numberOf(event.contentBlockIndex);
    const delta = objectOf(event.delta);
    const { toolUseId, name, type } = objectOf(objectOf(event.start).toolUse);
    if (typeof name === "string" && type !== "server_tool_use") {
      const tool = { id: textOf(toolUseId), name, input: {} };
      recorded.tools.push(tool);
      inputs.set(index, { text: "", tool });
    }
    recorded.text += textOf(delta.text);
    recorded.reasoning += textOf(objectOf(delta.reasoningContent).text);
    recorded.signature += textOf(objectOf(delta.reasoningContent).signature);
    const open = inputs.get(index);
    if (open !== undefined) open.text += textOf(objectOf(delta.toolUse).input);
    recorded.stopReason = textOf(event.stopReason) || recorded.stopReason;
    if (event.usage !== undefined) readUsage(recorded, objectOf(event.usage));
  }
  for (const { text, tool } of inputs.values()) if (text !== "") tool.input = JSON.parse(text);
}

/** What the frames of a stream hold: prelude of 12 bytes, headers, payload, checksum of 4. */
export function framePayloads(bytes: Buffer): JsonObject[] {
  const found: JsonObject[] = [];
  for (let at = 0; at < bytes.length; at += bytes.readUInt32BE(at)) {
    const start = at + 12 + bytes.readUInt32BE(at + 4);
    found.push(objectOf(parseObject(bytes.toString("utf8", start, at + bytes.readUInt32BE(at) - 4))));
  }
  return found;
}
