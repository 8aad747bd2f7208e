import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { JsonObject, JsonValue } from "../../provider.ts";
import { isObject, objectOf, objectsOf, textOf } from "../../translate/json-reading.ts";
import { refuseOrDrop, type TranslationSettings } from "../../translate/unsupported-parameter.ts";
import { type ParamTable, translateParams } from "../chat-dialect/chat-params.ts";
import { gigachatMessages } from "./chat-request-messages.ts";

const table: ParamTable = {
  owner: "gigachat",
  limit: "max_tokens",
  rules: {
    frequency_penalty: (value) => (value === 0 ? {} : undefined),
    n: "n",
    // Without chance: 0 is outside the bounds of the temperature.
    temperature: (value): JsonObject => (value === 0 ? { top_p: 0 } : { temperature: value }),
    top_p: "top_p",
  },
  elsewhere: ["tools", "tool_choice", "response_format", "parallel_tool_calls"],
};

/** A chat completion request in GigaChat's words. */
export function gigachatRequest(chat: JsonObject, settings: TranslationSettings): JsonObject {
  const request: JsonObject = {
    model: settings.model,
    messages: gigachatMessages(chat.messages, settings),
    stream: settings.stream,
    ...translateParams(chat, settings, table),
  };
  addFunctions(request, chat, settings);
  addSchema(request, chat, settings);
  return request;
}

/** The name of the function that stands for a schema of the answer; empty where there is none. */
export function schemaFunctionOf(chat: JsonObject): string {
  const { type, json_schema: definition } = objectOf(chat.response_format);
  if (type !== "json_schema" || objectsOf(chat.tools).length > 0) return "";
  return textOf(objectOf(definition).name) || "answer";
}

function addFunctions(request: JsonObject, chat: JsonObject, settings: TranslationSettings): void {
  const tools = objectsOf(chat.tools).filter((tool) => {
    if (!isObject(tool.function)) refuseOrDrop(settings, "tools", "gigachat has no tools but functions.");
    return isObject(tool.function);
  });
  if (tools.length === 0) return;
  const { tool_choice: choice } = chat;
  if (choice === "none") return;
  request.functions = tools.map((tool) => {
    const { name, description, parameters } = objectOf(tool.function);
    const schema = isObject(parameters) ? parameters : { type: "object", properties: {} };
    return { name: textOf(name), description: textOf(description), parameters: schema };
  });
  request.function_call = functionCall(choice, tools, settings);
}

/** One function can be forced, or the choice left to the model. */
function functionCall(
  choice: JsonValue | undefined,
  tools: readonly JsonObject[],
  settings: TranslationSettings,
): JsonValue {
  const named = textOf(objectOf(objectOf(choice).function).name);
  if (named !== "") return { name: named };
  if (choice !== "required") return "auto";
  const [only] = tools;
  if (tools.length === 1 && only !== undefined) return { name: textOf(objectOf(only.function).name) };
  refuseOrDrop(settings, "tool_choice", "gigachat cannot be told to call one function of several.");
  return "auto";
}

/** A schema is a function that the model has to call. */
function addSchema(request: JsonObject, chat: JsonObject, settings: TranslationSettings): void {
  const { type, json_schema: definition } = objectOf(chat.response_format);
  if (type === undefined || type === "text") return;
  const name = schemaFunctionOf(chat);
  const { schema, description } = objectOf(definition);
  if (name === "") {
    refuseOrDrop(settings, "response_format", "gigachat answers by a JSON schema alone, and not with tools beside it.");
    return;
  }
  if (!isObject(schema)) {
    throw gatewayError(Reason.INVALID_REQUEST, "response_format has no schema.", { param: "response_format" });
  }
  request.functions = [{ name, description: textOf(description) || "The answer to the user.", parameters: schema }];
  request.function_call = { name };
}
