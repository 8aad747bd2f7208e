import type { JsonObject, JsonValue } from "../../provider.ts";
import { outputSchema } from "../../translate/chat-to-messages/output-schema.ts";
import type { ChatAnswerShape } from "../../translate/chat-to-messages/request.ts";
import { anthropicMessages } from "../../translate/chat-to-messages/request-messages.ts";
import { stopSequences } from "../../translate/chat-to-messages/request-params.ts";
import { type AnthropicTools, anthropicTools, withJsonTool } from "../../translate/chat-to-messages/request-tools.ts";
import { isObject, listOf, numberOf, objectOf, objectsOf, textOf } from "../../translate/json-reading.ts";
import { refuseOrDrop, type TranslationSettings } from "../../translate/unsupported-parameter.ts";
import type { BedrockModel } from "./bedrock-model.ts";
import { refuseContent } from "./refused-content.ts";
import { ConverseContent } from "./request-content.ts";
import { addTopK, inferenceConfig, passedParams, reasoningFields, serviceTier } from "./request-params.ts";
import { converseTools } from "./request-tools.ts";

/** The body of a Converse request, and how its answer has to look for a chat client. */
export interface ConverseRequest {
  readonly body: JsonObject;
  readonly shape: ChatAnswerShape;
}

/** A request in Anthropic's words, as far as it is the same for both dialects. */
interface Conversation {
  readonly dialect: "chat" | "messages";
  readonly params: JsonObject;
  readonly system: JsonValue | undefined;
  readonly messages: JsonValue | undefined;
  readonly tools: Pick<AnthropicTools, "tools" | "choice">;
  readonly stop: JsonValue[] | undefined;
  readonly outputConfig: JsonObject | undefined;
}

/** Turns a chat completion request into a Converse request. Parameters of the deployment count where the client set none. */
export function chatToConverse(
  client: JsonObject,
  model: BedrockModel,
  settings: TranslationSettings,
): ConverseRequest {
  const chat = withoutFreeForm({ ...settings.defaultParams, ...client }, settings);
  refuseContent(chat.messages);
  const own = anthropicTools({ ...chat, web_search_options: null }, model.claude, settings);
  const tools = { ...own, tools: [...own.tools, ...webSearch(chat, model, settings)] };
  const format = answerFormat(objectOf(chat.response_format), model);
  const thinks =
    isObject(chat.thinking) || reasons(chat) || (model.family === "claude" && model.claude.thinksByDefault);
  const allTools = format.tool === undefined ? tools : withAnswerTool(tools, format.tool, model, thinks);
  const body = converse(
    {
      dialect: "chat",
      params: chat,
      ...anthropicMessages(chat.messages),
      tools: allTools,
      stop: stopSequences(chat, settings),
      outputConfig: format.native,
    },
    model,
    settings,
  );
  const includeUsage = objectOf(chat.stream_options).include_usage === true;
  return { body, shape: { jsonTool: format.tool !== undefined, legacyFunctions: own.legacy, includeUsage } };
}

/** Turns a Messages request into a Converse request. Parameters of the deployment count where the client set none. */
export function messagesToConverse(client: JsonObject, model: BedrockModel, settings: TranslationSettings): JsonObject {
  const message: JsonObject = { ...settings.defaultParams, ...client };
  const format = objectOf(objectOf(message.output_config).format);
  const stop = listOf(message.stop_sequences);
  return converse(
    {
      dialect: "messages",
      params: message,
      system: message.system,
      messages: message.messages,
      tools: {
        tools: objectsOf(message.tools),
        choice: isObject(message.tool_choice) ? message.tool_choice : undefined,
      },
      stop: stop.length > 0 ? stop : undefined,
      outputConfig: isObject(format.schema) ? textFormat("answer", undefined, format.schema) : undefined,
    },
    model,
    settings,
  );
}

function converse(conversation: Conversation, model: BedrockModel, settings: TranslationSettings): JsonObject {
  const { params, dialect } = conversation;
  const content = new ConverseContent(model);
  const system = content.blocks(conversation.system);
  const messages = content.messages(conversation.messages);
  const passed = passedParams(params, dialect, settings);
  const asked = outputLimit(params, settings);
  const reasoning = reasoningFields(params, model, asked, settings);
  const tools = converseTools(conversation.tools, messages, model, settings);
  const additional: JsonObject = { ...passed.additional, ...reasoning, ...tools.additional };
  addOutputConfig(additional, passed.additional, reasoning);
  addTopK(additional, params.top_k, model);
  // A budget has to lie below the limit, and the limit that a model has by default may be lower.
  const budgeted = objectOf(reasoning.thinking).budget_tokens !== undefined;
  const maxTokens = asked ?? (budgeted ? model.claude.defaultMaxTokens : undefined);
  const body: JsonObject = { messages };
  if (system.length > 0) body.system = system;
  const inference = inferenceConfig(params, conversation.stop, maxTokens, model, settings);
  if (inference !== undefined) body.inferenceConfig = inference;
  if (tools.toolConfig !== undefined) body.toolConfig = tools.toolConfig;
  if (conversation.outputConfig !== undefined) body.outputConfig = conversation.outputConfig;
  const tier = serviceTier(params.service_tier);
  if (tier !== undefined) body.serviceTier = tier;
  if (Object.keys(additional).length > 0) body.additionalModelRequestFields = additional;
  return { ...body, ...passed.converse };
}

/** `output_config` is Claude's: its effort stays, its format is Converse's `outputConfig`. */
function addOutputConfig(additional: JsonObject, passed: JsonObject, reasoning: JsonObject): void {
  const { format: _, ...rest } = { ...objectOf(passed.output_config), ...objectOf(reasoning.output_config) };
  if (Object.keys(rest).length > 0) additional.output_config = rest;
  else delete additional.output_config;
}

function outputLimit(params: JsonObject, settings: TranslationSettings): number | undefined {
  const asked = numberOf(params.max_completion_tokens) || numberOf(params.max_tokens) || undefined;
  const cap = settings.outputTokenCap;
  return asked === undefined || cap === undefined ? (asked ?? cap) : Math.min(asked, cap);
}

function reasons(chat: JsonObject): boolean {
  const asked = chat.reasoning_effort;
  const effort = isObject(asked) ? textOf(asked.effort) : textOf(asked);
  return effort !== "" && effort !== "none" && effort !== "disable";
}

/** Tools of type `custom` have no counterpart. */
function withoutFreeForm(chat: JsonObject, settings: TranslationSettings): JsonObject {
  const tools = objectsOf(chat.tools);
  const functions = tools.filter((tool) => tool.type !== "custom" || !isObject(tool.custom));
  if (functions.length === tools.length) return chat;
  refuseOrDrop(settings, "tools", "Bedrock has no free-form tools (type 'custom').");
  return { ...chat, tools: functions };
}

/** Nova searches by itself. https://docs.aws.amazon.com/nova/latest/nova2-userguide/web-grounding.html */
function webSearch(chat: JsonObject, model: BedrockModel, settings: TranslationSettings): JsonObject[] {
  if (!isObject(chat.web_search_options)) return [];
  if (model.family === "nova") return [{ systemTool: { name: "nova_grounding" } }];
  refuseOrDrop(settings, "web_search_options", "Of Bedrock's models only Nova searches the web.");
  return [];
}

interface AnswerFormat {
  readonly native?: JsonObject;
  readonly tool?: JsonObject;
}

/** A schema becomes `outputConfig` where the model takes one, else the schema of a tool; `json_object` is always a tool. */
function answerFormat(format: JsonObject, model: BedrockModel): AnswerFormat {
  if (format.type === "json_object") return { tool: { type: "object", properties: {}, additionalProperties: true } };
  if (format.type !== "json_schema") return {};
  const named = objectOf(format.json_schema);
  const schema: JsonObject = { type: "object", ...objectOf(named.schema) };
  if (!model.structuredOutputs) return { tool: schema };
  const fitted = model.family === "claude" ? outputSchema(schema) : schema;
  return { native: textFormat(textOf(named.name) || "answer", named.description, fitted) };
}

function textFormat(name: string, description: JsonValue | undefined, schema: JsonObject): JsonObject {
  const jsonSchema: JsonObject = { name, schema: JSON.stringify(schema) };
  if (typeof description === "string") jsonSchema.description = description;
  return { textFormat: { type: "json_schema", structure: { jsonSchema } } };
}

/** The tool whose arguments become the content; forced where the model can be forced. */
function withAnswerTool(own: AnthropicTools, schema: JsonObject, model: BedrockModel, thinks: boolean): AnthropicTools {
  const tools = withJsonTool(own, schema, thinks);
  return model.forcesTools ? tools : { ...tools, choice: undefined };
}
