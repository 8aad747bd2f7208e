import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { JsonObject, JsonValue } from "../../provider.ts";
import { isObject, objectOf, objectsOf, textOf } from "../../translate/json-reading.ts";
import { refuseOrDrop, type TranslationSettings } from "../../translate/unsupported-parameter.ts";
import { type ParamTable, stopList, translateParams } from "../chat-dialect/chat-params.ts";
import { genericMessages } from "./generic-messages.ts";

/** OpenAI's own models at Oracle's count their thinking into the limit, and have another field for that. */
const countsThinking = /^openai\.(?:o\d|gpt-5)/;

const table: Omit<ParamTable, "limit"> = {
  owner: "oci",
  rules: {
    frequency_penalty: "frequencyPenalty",
    logit_bias: "logitBias",
    logprobs: (value) => (typeof value === "boolean" ? {} : undefined),
    n: "numGenerations",
    parallel_tool_calls: "isParallelToolCalls",
    presence_penalty: "presencePenalty",
    reasoning_effort: upperWord("reasoningEffort", /^(?:none|minimal|low|medium|high)$/),
    response_format: responseFormat,
    seed: "seed",
    stop: stopList("stop"),
    temperature: "temperature",
    top_k: "topK",
    top_logprobs: (value) => (typeof value === "number" ? {} : undefined),
    top_p: "topP",
    verbosity: upperWord("verbosity", /^(?:low|medium|high)$/),
  },
  elsewhere: ["tools", "tool_choice"],
};

/** A chat completion request in the format of every model but Cohere's. */
export function genericRequest(chat: JsonObject, settings: TranslationSettings): JsonObject {
  const limit = countsThinking.test(settings.model) ? "maxCompletionTokens" : "maxTokens";
  const request: JsonObject = {
    apiFormat: "GENERIC",
    messages: genericMessages(chat.messages, settings),
    isStream: settings.stream,
    ...translateParams(chat, settings, { ...table, limit }),
  };
  if (settings.stream) request.streamOptions = { isIncludeUsage: true };
  if (chat.logprobs === true) request.logProbs = typeof chat.top_logprobs === "number" ? chat.top_logprobs : 1;
  const tools = objectsOf(chat.tools).filter((tool) => isFunction(tool, settings));
  if (tools.length > 0) request.tools = tools.map(genericTool);
  const choice = toolChoice(chat.tool_choice);
  if (choice !== undefined && tools.length > 0) request.toolChoice = choice;
  return request;
}

function upperWord(field: string, known: RegExp): (value: JsonValue) => JsonObject | undefined {
  return (value) => (known.test(textOf(value)) ? { [field]: textOf(value).toUpperCase() } : undefined);
}

function responseFormat(value: JsonValue): JsonObject | undefined {
  const { type, json_schema: definition } = objectOf(value);
  if (type === "text") return { responseFormat: { type: "TEXT" } };
  if (type === "json_object") return { responseFormat: { type: "JSON_OBJECT" } };
  if (type !== "json_schema" || !isObject(definition)) return undefined;
  const { strict, ...schema } = definition;
  const jsonSchema = typeof strict === "boolean" ? { ...schema, isStrict: strict } : schema;
  return { responseFormat: { type: "JSON_SCHEMA", jsonSchema } };
}

function isFunction(tool: JsonObject, settings: TranslationSettings): boolean {
  if (isObject(tool.function)) return true;
  refuseOrDrop(settings, "tools", `oci has no tools of type '${textOf(tool.type)}'.`);
  return false;
}

function genericTool(tool: JsonObject): JsonObject {
  const { name, description, parameters } = objectOf(tool.function);
  return {
    type: "FUNCTION",
    name: textOf(name),
    description: textOf(description),
    parameters: isObject(parameters) ? parameters : { type: "object", properties: {} },
  };
}

function toolChoice(choice: JsonValue | undefined): JsonObject | undefined {
  if (choice === undefined || choice === null) return undefined;
  if (choice === "auto" || choice === "none" || choice === "required") return { type: choice.toUpperCase() };
  const name = textOf(objectOf(objectOf(choice).function).name);
  if (name !== "") return { type: "FUNCTION", name };
  throw gatewayError(Reason.INVALID_REQUEST, "tool_choice is none that oci knows.", { param: "tool_choice" });
}
