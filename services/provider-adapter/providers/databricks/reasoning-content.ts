import type { JsonObject, JsonValue } from "../../provider.ts";
import { isObject, objectOf, objectsOf, textOf } from "../../translate/json-reading.ts";

/** Whether an answer or an event may hold a content that is a list: OpenAI's answers never do. */
export function mayHoldParts(bytes: Uint8Array): boolean {
  return /"content":\s*\[/.test(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1"));
}

/**
 * An answer, or a chunk of one, in which no content is a list. Databricks tells what Claude thinks as a part
 * `{"type": "reasoning", "summary": [{"type": "summary_text", "text", "signature"}]}` beside the text: it becomes
 * `reasoning_content`, and `thinking_blocks` with the signatures.
 * https://docs.databricks.com/aws/en/machine-learning/model-serving/query-reason-models
 */
export function withPlainContent(answer: JsonObject): JsonObject {
  const choices = objectsOf(answer.choices).map((choice) => {
    if (isObject(choice.message)) return { ...choice, message: plainMessage(choice.message) };
    return isObject(choice.delta) ? { ...choice, delta: plainMessage(choice.delta) } : choice;
  });
  return { ...answer, choices };
}

function plainMessage(message: JsonObject): JsonObject {
  if (!Array.isArray(message.content)) return message;
  const parts = objectsOf(message.content);
  const texts = parts.filter(({ type }) => type === "text").map(({ text }) => textOf(text));
  const summaries = parts.filter(({ type }) => type === "reasoning").flatMap(({ summary }) => objectsOf(summary));
  const plain: JsonObject = { ...message, content: texts.length === 0 ? null : texts.join("") };
  const reasoning = summaries.map(({ text }) => textOf(text)).join("");
  if (reasoning !== "") plain.reasoning_content = reasoning;
  if (summaries.length > 0) plain.thinking_blocks = summaries.map(thinkingBlock);
  return plain;
}

function thinkingBlock(summary: JsonObject): JsonObject {
  const block: JsonObject = { type: "thinking", thinking: textOf(summary.text) };
  if (textOf(summary.signature) !== "") block.signature = textOf(summary.signature);
  return block;
}

/** Messages that give Claude its own thinking back, in Databricks' form; undefined where there is none to give. */
export function withReasoningParts(messages: JsonValue | undefined): JsonValue | undefined {
  if (!Array.isArray(messages)) return undefined;
  if (!messages.some((message) => objectsOf(objectOf(message).thinking_blocks).length > 0)) return undefined;
  return messages.map((message) => (isObject(message) ? reasoningMessage(message) : message));
}

function reasoningMessage({ thinking_blocks: blocks, reasoning_content: _, ...message }: JsonObject): JsonObject {
  const summary = objectsOf(blocks)
    .filter(({ type }) => type === "thinking")
    .map(({ thinking, signature }) => ({
      type: "summary_text",
      text: textOf(thinking),
      signature: textOf(signature),
    }));
  if (summary.length === 0) return message;
  const { content } = message;
  const text = typeof content === "string" && content !== "" ? [{ type: "text", text: content }] : [];
  const rest = Array.isArray(content) ? content : text;
  return { ...message, content: [{ type: "reasoning", summary }, ...rest] };
}
