import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { JsonObject, JsonValue } from "../../provider.ts";
import { withoutServerTools } from "../agent-requests.ts";
import { isObject, objectsOf, textOf } from "../json-reading.ts";
import { refuseOrDrop } from "../unsupported-parameter.ts";
import { blocksOf, type ContentReader, compactContent, contentParts, plainText } from "./request-content.ts";

/**
 * Turns Anthropic's messages and system prompt into chat messages. A user message's tool results become `tool` messages,
 * which OpenAI wants right behind the call, and what else it holds follows as a user message; images in a tool result,
 * which a `tool` message cannot hold, go there too. Thinking goes back only to an upstream that takes reasoning back.
 */
export function chatMessages(
  system: JsonValue | undefined,
  messages: JsonValue | undefined,
  reader: ContentReader,
): JsonObject[] {
  if (!Array.isArray(messages)) throw invalid("'messages' has to be an array.");
  const result: JsonObject[] = [];
  const instructions = systemContent(system, reader);
  if (instructions !== undefined) result.push({ role: "system", content: instructions });
  for (const message of messages) {
    if (!isObject(message)) throw invalid("Every message has to be an object.");
    const blocks = blocksOf(message.content);
    if (message.role === "user") result.push(...userMessages(blocks, reader));
    else if (message.role === "assistant") result.push(...assistantMessages(blocks, reader));
    else if (message.role === "system") result.push({ role: "system", content: plainText(blocks) });
    else throw invalid(`A message has the unknown role '${textOf(message.role)}'.`);
  }
  return result;
}

/** A line that Claude Code writes for Anthropic's accounts. It is another one in every call, so that no cache would fit. */
const billingLine = /^x-anthropic-billing-header:/;

/** Several blocks become one text: not every chat upstream takes parts in a system message. */
function systemContent(system: JsonValue | undefined, reader: ContentReader): JsonValue | undefined {
  const blocks = blocksOf(system).filter(({ text }) => !billingLine.test(textOf(text)));
  if (blocks.length === 0) return undefined;
  return reader.upstream.keepsCacheControl === true && blocks.some((block) => isObject(block.cache_control))
    ? contentParts(blocks, reader)
    : plainText(blocks);
}

function userMessages(blocks: readonly JsonObject[], reader: ContentReader): JsonObject[] {
  const messages: JsonObject[] = [];
  const rest: JsonObject[] = [];
  for (const block of blocks) {
    if (block.type !== "tool_result") {
      rest.push(...contentParts([block], reader));
      continue;
    }
    const content = blocksOf(block.content);
    messages.push({ role: "tool", tool_call_id: textOf(block.tool_use_id), content: plainText(content) });
    rest.push(
      ...contentParts(
        content.filter(({ type }) => type !== "text" && type !== "tool_reference"),
        reader,
      ),
    );
  }
  if (rest.length > 0) messages.push({ role: "user", content: compactContent(rest) });
  return messages;
}

/** Calls of tools that Anthropic ran, and their results: the answer's text says what came of them. */
const ranAtAnthropic = /^(?:server_tool_use|mcp_tool_use|\w+_tool_result)$/;

function assistantMessages(blocks: readonly JsonObject[], reader: ContentReader): JsonObject[] {
  const calls: JsonObject[] = [];
  let content = "";
  let reasoning = "";
  for (const block of blocks) {
    if (block.type === "text") content += textOf(block.text);
    else if (block.type === "thinking") reasoning += textOf(block.thinking);
    else if (block.type === "tool_use") calls.push(toolCall(block));
    else if (block.type === "compaction") content += textOf(block.content);
    else if (block.type !== "redacted_thinking" && !ranAtAnthropic.test(textOf(block.type))) {
      const what = `content of type '${textOf(block.type)}' in an assistant message`;
      refuseOrDrop(reader.settings, "messages", `A chat completions upstream does not take ${what}.`);
    }
  }
  if (content === "" && calls.length === 0) return [];
  const message: JsonObject = { role: "assistant", content: content === "" ? null : content };
  const { reasoningField } = reader.upstream;
  if (reasoningField !== undefined && reasoning !== "") message[reasoningField] = reasoning;
  if (calls.length > 0) message.tool_calls = calls;
  return [message];
}

function toolCall(block: JsonObject): JsonObject {
  return {
    id: textOf(block.id),
    type: "function",
    function: { name: textOf(block.name), arguments: JSON.stringify(block.input ?? {}) },
  };
}

/** Anthropic's tools in a chat completion's words. */
export interface ChatTools {
  readonly tools: JsonObject[];
  /** The upstream is to search the web. */
  readonly searchesWeb: boolean;
}

/**
 * Anthropic's tools as functions. One that Anthropic defines has no counterpart. One that it runs itself is left out
 * beside others, which agents can work with, and refused where the call is about nothing else; but for a search of the
 * web where the upstream has one.
 */
export function chatTools(tools: JsonValue | undefined, reader: ContentReader): ChatTools {
  const result: JsonObject[] = [];
  let searchesWeb = false;
  for (const tool of withoutServerTools(objectsOf(tools))) {
    const type = textOf(tool.type);
    if (type.startsWith("web_search_") && reader.upstream.searchesWeb === true) {
      searchesWeb = true;
      continue;
    }
    if (type !== "" && type !== "custom") {
      refuseOrDrop(reader.settings, "tools", `A chat completions upstream has no tool of type '${type}'.`);
      continue;
    }
    const definition: JsonObject = { name: textOf(tool.name) };
    if (typeof tool.description === "string") definition.description = tool.description;
    definition.parameters = isObject(tool.input_schema) ? tool.input_schema : { type: "object", properties: {} };
    if (typeof tool.strict === "boolean") definition.strict = tool.strict;
    const translated: JsonObject = { type: "function", function: definition };
    if (reader.upstream.keepsCacheControl === true && isObject(tool.cache_control)) {
      translated.cache_control = tool.cache_control;
    }
    result.push(translated);
  }
  return { tools: result, searchesWeb };
}

function invalid(message: string): Error {
  return gatewayError(Reason.INVALID_REQUEST, message, { param: "messages" });
}
