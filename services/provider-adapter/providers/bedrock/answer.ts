import type { JsonObject, JsonValue } from "../../provider.ts";
import { isObject, numberOf, objectOf, objectsOf, textOf } from "../../translate/json-reading.ts";

/**
 * Converse's content model is that of Anthropic's Messages with other words. So an answer is turned into an Anthropic
 * message, which the translators of `translate/messages-to-chat` turn into a chat completion.
 * https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html
 */
export function converseToMessage(answer: JsonObject, id: string, model: string): JsonObject {
  const content = objectsOf(objectOf(objectOf(answer.output).message).content).map(messageBlock);
  const message: JsonObject = {
    id,
    type: "message",
    role: "assistant",
    model,
    content,
    ...messageEnding(answer),
    usage: messageUsage(objectOf(answer.usage)),
  };
  return message;
}

/** `stop_reason` and `stop_sequence` of an answer, or of a stream's `messageStop`. */
export function messageEnding(ending: JsonObject): JsonObject {
  const fields = objectOf(ending.additionalModelResponseFields);
  const sequence = textOf(fields.stop_sequence) || textOf(objectOf(fields.delta).stop_sequence);
  return { stop_reason: stopReasonOf(textOf(ending.stopReason)), stop_sequence: sequence || null };
}

/** Bedrock's stop reasons in Anthropic's words, which are the same but for those of a filter. */
const stopReasons: Readonly<Record<string, string>> = {
  end_turn: "end_turn",
  tool_use: "tool_use",
  max_tokens: "max_tokens",
  stop_sequence: "stop_sequence",
  guardrail_intervened: "refusal",
  content_filtered: "refusal",
  model_context_window_exceeded: "model_context_window_exceeded",
};

function stopReasonOf(stopReason: string): string {
  return stopReasons[stopReason] ?? "end_turn";
}

/** Anthropic's `usage`: both count cached input apart from input. Nova over Invoke has names of its own for it. */
export function messageUsage(usage: JsonObject): JsonObject {
  const counts: JsonObject = {
    input_tokens: numberOf(usage.inputTokens),
    output_tokens: numberOf(usage.outputTokens),
    cache_read_input_tokens: numberOf(usage.cacheReadInputTokens ?? usage.cacheReadInputTokenCount),
    cache_creation_input_tokens: numberOf(usage.cacheWriteInputTokens ?? usage.cacheWriteInputTokenCount),
  };
  const details = objectsOf(usage.cacheDetails);
  if (details.length > 0) {
    counts.cache_creation = {
      ephemeral_5m_input_tokens: writtenFor(details, "5m"),
      ephemeral_1h_input_tokens: writtenFor(details, "1h"),
    };
  }
  const tools = objectOf(usage.serverToolUsage);
  if (Object.keys(tools).length > 0) counts.server_tool_use = tools;
  return counts;
}

function writtenFor(details: readonly JsonObject[], ttl: string): number {
  return details.reduce((sum, detail) => sum + (detail.ttl === ttl ? numberOf(detail.inputTokens) : 0), 0);
}

/** One content block. What has no counterpart travels as it is. */
export function messageBlock(block: JsonObject): JsonObject {
  if (typeof block.text === "string") return { type: "text", text: block.text };
  if (isObject(block.toolUse)) return toolUseBlock(block.toolUse, block.toolUse.input ?? {});
  if (isObject(block.toolResult)) return toolResultBlock(block.toolResult);
  if (isObject(block.reasoningContent)) return thinkingBlock(block.reasoningContent);
  if (isObject(block.citationsContent)) {
    const { content, citations } = block.citationsContent;
    const text = objectsOf(content)
      .map((part) => textOf(part.text))
      .join("");
    return { type: "text", text, citations: objectsOf(citations).map(citationOf) };
  }
  return { type: Object.keys(block)[0] ?? "unknown", ...block };
}

/** A call of the client's tools, or of one that Bedrock runs itself. */
export function toolUseBlock(toolUse: JsonObject, input: JsonValue): JsonObject {
  const type = toolUse.type === "server_tool_use" ? "server_tool_use" : "tool_use";
  return { type, id: textOf(toolUse.toolUseId), name: textOf(toolUse.name), input };
}

/** The result of a tool that Bedrock ran: its type is Bedrock's own word for it. */
export function toolResultBlock(result: JsonObject): JsonObject {
  const { toolUseId, type, ...rest } = result;
  return { type: textOf(type) || "tool_result", tool_use_id: textOf(toolUseId), ...rest };
}

function thinkingBlock(reasoning: JsonObject): JsonObject {
  if (typeof reasoning.redactedContent === "string") {
    return { type: "redacted_thinking", data: reasoning.redactedContent };
  }
  const { text, signature } = objectOf(reasoning.reasoningText);
  const block: JsonObject = { type: "thinking", thinking: textOf(text) };
  if (typeof signature === "string") block.signature = signature;
  return block;
}

/** Where the document's index and the two ends stand in Anthropic's citation of each kind of location. */
const locations: Readonly<Record<string, readonly [type: string, start: string, end: string]>> = {
  documentChar: ["char_location", "start_char_index", "end_char_index"],
  documentPage: ["page_location", "start_page_number", "end_page_number"],
  documentChunk: ["content_block_location", "start_block_index", "end_block_index"],
};

/** A citation in Anthropic's words; one of an unknown kind keeps Bedrock's. */
export function citationOf(citation: JsonObject): JsonObject {
  const cited = objectsOf(citation.sourceContent)
    .map((part) => textOf(part.text))
    .join("");
  const [kind, place] = Object.entries(objectOf(citation.location))[0] ?? ["", {}];
  const location = objectOf(place);
  if (kind === "web") {
    const title = textOf(citation.title) || textOf(location.domain);
    return { type: "web_search_result_location", url: textOf(location.url), title, cited_text: cited };
  }
  const known = locations[kind];
  if (known === undefined) return { type: kind, ...citation };
  const [type, start, end] = known;
  return {
    type,
    cited_text: cited,
    document_index: numberOf(location.documentIndex),
    document_title: textOf(citation.title),
    [start]: numberOf(location.start),
    [end]: numberOf(location.end),
  };
}
