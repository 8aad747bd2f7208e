import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { JsonObject, JsonValue } from "../../provider.ts";
import { isObject, listOf, objectOf, objectsOf, parseObject, textOf } from "../../translate/json-reading.ts";
import { refuseOrDrop, type TranslationSettings } from "../../translate/unsupported-parameter.ts";
import { type ParamTable, stopList, translateParams } from "../chat-dialect/chat-params.ts";

const table: ParamTable = {
  owner: "oci",
  limit: "maxTokens",
  rules: {
    frequency_penalty: "frequencyPenalty",
    presence_penalty: "presencePenalty",
    response_format: responseFormat,
    seed: "seed",
    stop: stopList("stopSequences"),
    temperature: "temperature",
    // Cohere's models choose for themselves.
    tool_choice: (value) => (value === "auto" || value === "none" ? {} : undefined),
    top_k: "topK",
    top_p: "topP",
  },
  elsewhere: ["tools"],
};

/**
 * A chat completion request in the format of Cohere's models,
 * https://docs.oracle.com/en-us/iaas/api/#/en/generative-ai-inference/20231130/datatypes/CohereChatRequest: the last thing
 * that the user said, or the results of tools, stands apart from what was said before.
 */
export function cohereRequest(chat: JsonObject, settings: TranslationSettings): JsonObject {
  if (!Array.isArray(chat.messages)) {
    throw gatewayError(Reason.INVALID_REQUEST, "'messages' has to be an array.", { param: "messages" });
  }
  const request: JsonObject = {
    apiFormat: "COHERE",
    ...conversation(objectsOf(chat.messages), settings),
    isStream: settings.stream,
    ...translateParams(chat, settings, table),
  };
  if (settings.stream) request.streamOptions = { isIncludeUsage: true };
  const tools = chat.tool_choice === "none" ? [] : objectsOf(chat.tools);
  if (tools.length > 0) request.tools = tools.map((tool) => cohereTool(tool, settings));
  return request;
}

function conversation(messages: readonly JsonObject[], settings: TranslationSettings): JsonObject {
  const isSystem = ({ role }: JsonObject) => role === "system" || role === "developer";
  const preamble = messages.filter(isSystem).map(({ content }) => textIn(content, settings));
  const said = messages.filter((message) => !isSystem(message));
  const results = said.slice(said.findLastIndex(({ role }) => role !== "tool") + 1);
  const last = results.length === 0 ? said.at(-1) : undefined;
  const before = results.length === 0 ? said.slice(0, -1) : said.slice(0, said.length - results.length);
  if (last !== undefined && last.role !== "user") {
    throw gatewayError(Reason.INVALID_REQUEST, "oci wants the last message to be the user's, or a tool's result.", {
      param: "messages",
    });
  }
  const request: JsonObject = { message: last === undefined ? "" : textIn(last.content, settings) };
  const history = historyOf(before, settings);
  if (history.length > 0) request.chatHistory = history;
  if (preamble.length > 0) request.preambleOverride = preamble.join("\n\n");
  if (results.length > 0) request.toolResults = results.map((result) => toolResult(result, said, settings));
  return request;
}

function historyOf(messages: readonly JsonObject[], settings: TranslationSettings): JsonObject[] {
  return messages.map((message) => {
    switch (message.role) {
      case "user":
        return { role: "USER", message: textIn(message.content, settings) };
      case "tool":
        return { role: "TOOL", toolResults: [toolResult(message, messages, settings)] };
      case "assistant":
        return chatbotMessage(message, settings);
      default:
        throw gatewayError(Reason.INVALID_REQUEST, `oci has no messages of role '${textOf(message.role)}'.`, {
          param: "messages",
        });
    }
  });
}

function chatbotMessage(message: JsonObject, settings: TranslationSettings): JsonObject {
  const toolCalls = objectsOf(message.tool_calls).map(cohereCall);
  const text = textIn(message.content, settings);
  return { role: "CHATBOT", message: text, ...(toolCalls.length > 0 ? { toolCalls } : {}) };
}

function cohereCall(call: JsonObject): JsonObject {
  const { name, arguments: args } = objectOf(call.function);
  return { name: textOf(name), parameters: parseObject(textOf(args)) ?? {} };
}

/** The call that a result answers is told once more, found by its id. */
function toolResult(result: JsonObject, messages: readonly JsonObject[], settings: TranslationSettings): JsonObject {
  const calls = messages.flatMap(({ tool_calls }) => objectsOf(tool_calls));
  const call = calls.find(({ id }) => id === result.tool_call_id);
  if (call === undefined) {
    throw gatewayError(Reason.INVALID_REQUEST, "A tool's result belongs to no call.", { param: "messages" });
  }
  const text = textIn(result.content, settings);
  return { call: cohereCall(call), outputs: [parseObject(text) ?? { result: text }] };
}

function textIn(content: JsonValue | undefined, settings: TranslationSettings): string {
  if (!Array.isArray(content)) return textOf(content);
  return listOf(content)
    .map((part) => {
      if (!isObject(part)) return textOf(part);
      if (part.type === "text" || part.type === "refusal") return textOf(part.text) || textOf(part.refusal);
      refuseOrDrop(settings, "messages", `Cohere's models at oci take no '${textOf(part.type)}'.`);
      return "";
    })
    .join("");
}

function responseFormat(value: JsonValue): JsonObject | undefined {
  const { type, json_schema: definition } = objectOf(value);
  if (type === "text") return {};
  if (type === "json_object") return { responseFormat: { type: "JSON_OBJECT" } };
  const { schema } = objectOf(definition);
  return isObject(schema) ? { responseFormat: { type: "JSON_OBJECT", schema } } : undefined;
}

/** Types in Python's words, as Cohere's first version has them. */
const types: Readonly<Record<string, string>> = {
  string: "str",
  number: "float",
  integer: "int",
  boolean: "bool",
  array: "list",
  object: "dict",
};

function cohereTool(tool: JsonObject, settings: TranslationSettings): JsonObject {
  if (!isObject(tool.function)) refuseOrDrop(settings, "tools", `oci has no tools of type '${textOf(tool.type)}'.`);
  const { name, description, parameters } = objectOf(tool.function);
  const { properties, required } = objectOf(parameters);
  const definitions = Object.entries(objectOf(properties)).map(([field, schema]) => {
    const { type, description: words } = objectOf(schema);
    const isRequired = listOf(required).includes(field);
    return [field, { type: types[textOf(type)] ?? "str", description: textOf(words), isRequired }] as const;
  });
  return {
    name: textOf(name),
    description: textOf(description),
    parameterDefinitions: Object.fromEntries(definitions),
  };
}
