import type { ChatUpstream, JsonObject, JsonValue } from "../../provider.ts";
import { isObject, listOf, numberOf, objectOf, textOf } from "../json-reading.ts";
import { refuseOrDrop, type TranslationSettings } from "../unsupported-parameter.ts";
import type { ContentReader } from "./request-content.ts";
import { chatMessages, chatTools } from "./request-messages.ts";

/** Members that Anthropic alone understands; each is refused, left out (`drop_params`) or passed on as allowed. */
const unsupported = ["container", "mcp_servers", "speed"];

/** Members that are translated here, and hints that change no answer (`cache_control`, `inference_geo`, …). */
const consumed = new Set([
  "betas",
  "cache_control",
  "context_management",
  "diagnostics",
  "inference_geo",
  "max_tokens",
  "messages",
  "metadata",
  "model",
  "output_config",
  "output_format",
  "service_tier",
  "stop_sequences",
  "stream",
  "system",
  "thinking",
  "tool_choice",
  "tools",
]);

/** OpenAI refuses a longer `user`; the beginning of one still tells users apart. */
const maxUserLength = 64;
/** OpenAI models that do not reason refuse `reasoning_effort`. */
const withoutReasoning = /^(?:chatgpt-4|gpt-3|gpt-4)/;

/** Whether a model is known not to reason. */
export function cannotReason(model: string): boolean {
  return withoutReasoning.test(model);
}

/**
 * Turns a Messages request into a chat completion request. The rule for the rest: what only Anthropic understands is
 * refused by name; every other member passes unchanged (`temperature`, `top_p`, `top_k`, or new), because the upstream
 * may take it. Parameters of the deployment are not merged here: the chat exchange does that.
 */
export function messagesToChatRequest(
  message: JsonObject,
  settings: TranslationSettings,
  upstream: ChatUpstream,
): JsonObject {
  const reader: ContentReader = { settings, upstream };
  const chat: JsonObject = {
    model: settings.model,
    messages: chatMessages(message.system, message.messages, reader),
  };
  if (typeof message.max_tokens === "number") chat[upstream.outputLimitField] = message.max_tokens;
  Object.assign(chat, passedMembers(message, settings));
  if (settings.stream) chat.stream = true;
  const stop = listOf(message.stop_sequences);
  if (stop.length > 0) chat.stop = stop;
  const user = userOf(message);
  if (user !== "") chat.user = user;
  addTools(chat, message, reader);
  const effort = reasoningEffort(message, settings);
  if (effort !== undefined) chat.reasoning_effort = effort;
  const format = responseFormat(message);
  if (format !== undefined) chat.response_format = format;
  const tier = textOf(message.service_tier);
  if (tier !== "") chat.service_tier = tier === "standard_only" ? "default" : tier;
  return chat;
}

function passedMembers(message: JsonObject, settings: TranslationSettings): JsonObject {
  const passed: JsonObject = {};
  for (const [name, value] of Object.entries(message)) {
    if (consumed.has(name) || value === null) continue;
    if (name === "top_k" && settings.dropParams && !settings.allowedParams.includes(name)) continue;
    if (unsupported.includes(name) && !settings.allowedParams.includes(name)) {
      refuseOrDrop(settings, name, `A chat completions upstream does not support the parameter '${name}'.`);
    } else passed[name] = value;
  }
  return passed;
}

function userOf(message: JsonObject): string {
  return textOf(objectOf(message.metadata).user_id).slice(0, maxUserLength);
}

function addTools(chat: JsonObject, message: JsonObject, reader: ContentReader): void {
  const { tools, searchesWeb } = chatTools(message.tools, reader);
  if (searchesWeb) chat.web_search_options = {};
  if (tools.length === 0) return;
  chat.tools = tools;
  const choice = objectOf(message.tool_choice);
  const offered = tools.some((tool) => objectOf(tool.function).name === choice.name);
  const translated = choice.type === "tool" && !offered ? undefined : toolChoice(choice);
  if (translated !== undefined) chat.tool_choice = translated;
  if (choice.disable_parallel_tool_use === true) chat.parallel_tool_calls = false;
}

function toolChoice(choice: JsonObject): JsonValue | undefined {
  switch (choice.type) {
    case "auto":
    case "none":
      return choice.type;
    case "any":
      return "required";
    case "tool":
      return { type: "function", function: { name: textOf(choice.name) } };
    default:
      return undefined;
  }
}

/** Efforts that both dialects know. */
const efforts = new Set(["low", "medium", "high", "xhigh"]);

/**
 * `thinking` and `output_config.effort` as `reasoning_effort`; a budget by LiteLLM's thresholds. Agents ask every model to
 * think, so that one that cannot goes without.
 */
function reasoningEffort(message: JsonObject, settings: TranslationSettings): string | undefined {
  const thinking = objectOf(message.thinking);
  if (thinking.type !== "enabled" && thinking.type !== "adaptive") return undefined;
  if (cannotReason(settings.model)) return undefined;
  const effort = textOf(objectOf(message.output_config).effort);
  if (effort !== "") return efforts.has(effort) ? effort : "xhigh";
  if (thinking.type === "adaptive") return "high";
  return effortOfBudget(numberOf(thinking.budget_tokens));
}

/** A thinking budget in tokens as `reasoning_effort`, by LiteLLM's thresholds. */
export function effortOfBudget(budget: number): string {
  if (budget >= 10_000) return "high";
  return budget >= 5000 ? "medium" : "low";
}

function responseFormat(message: JsonObject): JsonObject | undefined {
  const current = objectOf(message.output_config).format;
  const format = isObject(current) ? current : objectOf(message.output_format);
  if (format.type !== "json_schema") return undefined;
  return {
    type: "json_schema",
    json_schema: { name: "answer", schema: objectOf(format.schema), strict: true },
  };
}
