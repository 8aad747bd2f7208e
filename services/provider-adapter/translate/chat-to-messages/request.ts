import type { JsonObject } from "../../provider.ts";
import { isObject, numberOf, objectOf } from "../json-reading.ts";
import type { TranslationSettings } from "../unsupported-parameter.ts";
import { type ClaudeModel, claudeModel } from "./claude-models.ts";
import { outputSchema } from "./output-schema.ts";
import { anthropicMessages } from "./request-messages.ts";
import {
  fitThinking,
  passedParams,
  requestMetadata,
  serviceTier,
  stopSequences,
  type Thinking,
  thinkingOf,
} from "./request-params.ts";
import { type AnthropicTools, anthropicTools, withJsonTool } from "./request-tools.ts";

/** How the answer has to look for the client; `translate/messages-to-chat` reads it. */
export interface ChatAnswerShape {
  /** The arguments of the stand-in JSON tool are the content. */
  readonly jsonTool: boolean;
  /** Calls are told as `function_call`, not `tool_calls`. */
  readonly legacyFunctions: boolean;
  /** A stream ends with a usage chunk (`stream_options.include_usage`). */
  readonly includeUsage: boolean;
}

export interface AnthropicRequest {
  readonly body: JsonObject;
  /** Values for `anthropic-beta` that the body needs. */
  readonly betas: readonly string[];
  readonly shape: ChatAnswerShape;
}

/** Body members, and what Anthropic wants to see in `anthropic-beta` for them. */
const betaOfMember: Readonly<Record<string, string>> = {
  context_management: "context-management-2025-06-27",
  mcp_servers: "mcp-client-2025-11-20",
};
const filesBeta = "files-api-2025-04-14";

/**
 * Turns a chat completion request into a Messages request. Parameters of the deployment count where the client set
 * none. What becomes of every single parameter stands in `request-params.ts`. `offers`: what differs at the address from
 * what the model can do at Anthropic's.
 */
export function chatToMessagesRequest(
  client: JsonObject,
  settings: TranslationSettings,
  offers: Partial<ClaudeModel> = {},
): AnthropicRequest {
  const chat: JsonObject = { ...settings.defaultParams, ...client };
  const model = { ...claudeModel(settings.model), ...offers };
  const maxTokens = outputLimit(chat, model, settings);
  const passed = passedParams(chat, model, settings);
  const reasoning = thinkingOf(chat, model, maxTokens, settings);
  const explicit = isObject(passed.thinking) ? fitThinking(passed.thinking, maxTokens) : undefined;
  const thinking = explicit ?? reasoning.thinking;
  const format = answerFormat(chat, model);
  const own = anthropicTools(chat, model, settings);
  const tools = format.tool === undefined ? own : withJsonTool(own, format.tool, thinks(model, thinking));
  const { messages, system } = anthropicMessages(chat.messages);
  const body: JsonObject = { model: settings.model, max_tokens: maxTokens, messages };
  if (system !== undefined) body.system = system;
  Object.assign(body, passed);
  delete body.thinking;
  if (thinking !== undefined) body.thinking = thinking;
  addOptional(body, chat, settings);
  addTools(body, tools);
  addOutputConfig(body, reasoning, format.native);
  if (settings.stream) body.stream = true;
  return {
    body,
    betas: betasOf(body, messages),
    shape: {
      jsonTool: format.tool !== undefined,
      legacyFunctions: own.legacy,
      includeUsage: objectOf(chat.stream_options).include_usage === true,
    },
  };
}

function outputLimit(chat: JsonObject, model: ClaudeModel, settings: TranslationSettings): number {
  const asked = numberOf(chat.max_completion_tokens) || numberOf(chat.max_tokens) || model.defaultMaxTokens;
  return Math.min(asked, settings.outputTokenCap ?? asked);
}

function thinks(model: ClaudeModel, thinking: JsonObject | undefined): boolean {
  return thinking === undefined ? model.thinksByDefault : thinking.type !== "disabled";
}

function addOptional(body: JsonObject, chat: JsonObject, settings: TranslationSettings): void {
  const stop = stopSequences(chat, settings);
  if (stop !== undefined) body.stop_sequences = stop;
  const metadata = requestMetadata(chat);
  if (metadata !== undefined) body.metadata = metadata;
  const tier = serviceTier(chat, settings);
  if (tier !== undefined) body.service_tier = tier;
}

function addTools(body: JsonObject, { tools, choice }: AnthropicTools): void {
  if (tools.length > 0) body.tools = tools;
  if (choice !== undefined) body.tool_choice = choice;
}

function addOutputConfig(body: JsonObject, { effort }: Thinking, format: JsonObject | undefined): void {
  if (effort === undefined && format === undefined) return;
  const config: JsonObject = { ...objectOf(body.output_config) };
  if (effort !== undefined && config.effort === undefined) config.effort = effort;
  if (format !== undefined && config.format === undefined) config.format = format;
  body.output_config = config;
}

interface AnswerFormat {
  readonly native?: JsonObject;
  readonly tool?: JsonObject;
}

/**
 * `response_format`: a schema becomes Anthropic's `output_config.format` where the model has structured outputs, else
 * the schema of a forced tool. `json_object` names no schema, which structured outputs need, so it is always the tool.
 */
function answerFormat(chat: JsonObject, model: ClaudeModel): AnswerFormat {
  const format = objectOf(chat.response_format);
  if (format.type === "json_object") {
    return { tool: { type: "object", properties: {}, additionalProperties: true } };
  }
  if (format.type !== "json_schema") return {};
  const schema = objectOf(objectOf(format.json_schema).schema);
  if (!model.structuredOutputs) return { tool: { type: "object", ...schema } };
  return { native: { type: "json_schema", schema: outputSchema({ type: "object", ...schema }) } };
}

function betasOf(body: JsonObject, messages: readonly JsonObject[]): string[] {
  const betas = Object.entries(betaOfMember)
    .filter(([member]) => body[member] !== undefined)
    .map(([, beta]) => beta);
  const files = messages.some(
    ({ content }) =>
      Array.isArray(content) && content.some((block) => isObject(block) && objectOf(block.source).type === "file"),
  );
  return files ? [...betas, filesBeta] : betas;
}
