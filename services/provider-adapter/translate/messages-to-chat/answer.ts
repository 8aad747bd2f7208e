import type { JsonObject } from "../../provider.ts";
import type { ChatAnswerShape } from "../chat-to-messages/request.ts";
import { jsonToolName } from "../chat-to-messages/request-tools.ts";
import { finishReasonOf } from "../finish-reason.ts";
import { listOf, objectOf, objectsOf, textOf } from "../json-reading.ts";
import { annotationsOf, endingFields, needsBaggage } from "./content-baggage.ts";
import type { MessageUsage } from "./message-usage.ts";

/**
 * Turns an Anthropic message into a chat completion. Texts are joined; thinking becomes `reasoning_content` and, with
 * its signatures, `thinking_blocks`; what a chat message cannot hold travels in `provider_specific_fields`.
 */
export function messageToChatCompletion(
  message: JsonObject,
  usage: MessageUsage,
  shape: ChatAnswerShape,
  createdAt: number,
): JsonObject {
  const completion: JsonObject = {
    id: textOf(message.id),
    object: "chat.completion",
    created: createdAt,
    model: textOf(message.model),
    choices: [
      {
        index: 0,
        message: chatMessage(message, shape),
        finish_reason: chatFinishReason(message, shape),
        logprobs: null,
      },
    ],
    usage: usage.chatUsage(),
  };
  if (usage.serviceTier() !== "") completion.service_tier = usage.serviceTier();
  return completion;
}

/** The finish reason for a client; the stand-in JSON tool and the legacy functions are told in the client's terms. */
export function chatFinishReason(message: JsonObject, shape: ChatAnswerShape): string {
  const reason = finishReasonOf(textOf(message.stop_reason)) || "stop";
  if (reason !== "tool_calls") return reason;
  const called = objectsOf(message.content).some((block) => block.type === "tool_use" && !isStandIn(block, shape));
  if (!called && shape.jsonTool) return "stop";
  return shape.legacyFunctions ? "function_call" : reason;
}

export function isStandIn(block: JsonObject, shape: ChatAnswerShape): boolean {
  return shape.jsonTool && block.name === jsonToolName;
}

function chatMessage(message: JsonObject, shape: ChatAnswerShape): JsonObject {
  const blocks = objectsOf(message.content);
  const calls = blocks.filter((block) => block.type === "tool_use" && !isStandIn(block, shape));
  const { content, annotations } = joinTexts(blocks, shape);
  const result: JsonObject = {
    role: "assistant",
    content: content === "" && calls.length > 0 ? null : content,
    refusal: refusalOf(message),
  };
  addThinking(result, blocks);
  if (annotations.length > 0) result.annotations = annotations;
  const [first] = calls;
  if (shape.legacyFunctions && first !== undefined) result.function_call = functionOf(first);
  else if (calls.length > 0) {
    result.tool_calls = calls.map((block) => ({ id: textOf(block.id), type: "function", function: functionOf(block) }));
  }
  const fields = providerFields(message, blocks, shape);
  if (fields !== undefined) result.provider_specific_fields = fields;
  return result;
}

function joinTexts(blocks: readonly JsonObject[], shape: ChatAnswerShape) {
  let content = "";
  const annotations: JsonObject[] = [];
  for (const block of blocks) {
    if (isStandIn(block, shape)) content += JSON.stringify(block.input ?? {});
    if (block.type !== "text") continue;
    annotations.push(...annotationsOf(block, content.length));
    content += textOf(block.text);
  }
  return { content, annotations };
}

function functionOf(block: JsonObject): JsonObject {
  return { name: textOf(block.name), arguments: JSON.stringify(block.input ?? {}) };
}

function addThinking(result: JsonObject, blocks: readonly JsonObject[]): void {
  const thinking = blocks.filter((block) => block.type === "thinking" || block.type === "redacted_thinking");
  if (thinking.length === 0) return;
  const text = thinking.map((block) => textOf(block.thinking)).join("");
  if (text !== "") result.reasoning_content = text;
  result.thinking_blocks = thinking;
}

/** What the model said to its refusal, if it did. */
export function refusalOf(message: JsonObject): string | null {
  return textOf(objectOf(message.stop_details).explanation) || null;
}

function providerFields(message: JsonObject, blocks: JsonObject[], shape: ChatAnswerShape): JsonObject | undefined {
  const fields: JsonObject = { ...endingFields(message) };
  const citations = blocks.map((block) => listOf(block.citations)).filter((cited) => cited.length > 0);
  if (citations.length > 0) fields.citations = citations;
  if (!shape.jsonTool && needsBaggage(blocks)) fields.content_blocks = blocks;
  return Object.keys(fields).length > 0 ? fields : undefined;
}
