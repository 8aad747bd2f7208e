import type { ChatUpstream, JsonObject, JsonValue } from "../../provider.ts";
import { isObject, listOf, objectOf, objectsOf, textOf } from "../json-reading.ts";
import { refuseOrDrop, type TranslationSettings } from "../unsupported-parameter.ts";
import { jsonSchema } from "./json-schema.ts";
import { camelCased } from "./spelling.ts";

/**
 * The `tools`, `tool_choice` and `web_search_options` of a chat completion that Google's `tools` and `toolConfig` mean. A
 * tool that Google itself runs has no counterpart, but for its search where the upstream has one.
 */
export function chatTools(request: JsonObject, settings: TranslationSettings, upstream: ChatUpstream): JsonObject {
  const given = objectsOf(Array.isArray(request.tools) ? request.tools : [request.tools ?? null]).map(camelCased);
  const chat: JsonObject = {};
  for (const tool of given) addBuiltIn(tool, chat, settings, upstream);
  const config = camelCased(objectOf(request.toolConfig));
  refuseConfig(config, settings);
  const calling = camelCased(objectOf(config.functionCallingConfig));
  const allowed = listOf(calling.allowedFunctionNames).map(textOf);
  const declared = given.flatMap((tool) => objectsOf(tool.functionDeclarations).map(camelCased));
  const offered = declared.filter(({ name }) => allowed.length === 0 || allowed.includes(textOf(name)));
  if (offered.length === 0) return chat;
  chat.tools = offered.map((declaration) => ({ type: "function", function: functionOf(declaration) }));
  const choice = toolChoice(textOf(calling.mode), allowed);
  if (choice !== undefined) chat.tool_choice = choice;
  return chat;
}

function addBuiltIn(tool: JsonObject, chat: JsonObject, settings: TranslationSettings, upstream: ChatUpstream): void {
  for (const name of Object.keys(tool)) {
    if (name === "functionDeclarations" || tool[name] === null) continue;
    if (/^googleSearch/.test(name) && upstream.searchesWeb === true) chat.web_search_options = {};
    else refuseOrDrop(settings, "tools", `This provider has nothing for Google's tool '${name}'.`);
  }
}

/** What else Google configures (`retrievalConfig`) is for tools of its own. */
function refuseConfig(config: JsonObject, settings: TranslationSettings): void {
  for (const name of Object.keys(config)) {
    if (name !== "functionCallingConfig") {
      refuseOrDrop(settings, `toolConfig.${name}`, `This provider does not support 'toolConfig.${name}'.`);
    }
  }
}

function functionOf(declaration: JsonObject): JsonObject {
  const definition: JsonObject = { name: textOf(declaration.name) };
  if (typeof declaration.description === "string") definition.description = declaration.description;
  const { parametersJsonSchema: own, parameters } = declaration;
  if (isObject(own)) definition.parameters = own;
  else definition.parameters = isObject(parameters) ? jsonSchema(parameters) : { type: "object", properties: {} };
  return definition;
}

/** `VALIDATED` only checks the arguments; of several allowed functions, which alone are offered, one has to be called. */
function toolChoice(mode: string, allowed: readonly string[]): JsonValue | undefined {
  if (mode === "NONE") return "none";
  if (mode === "AUTO" || mode === "VALIDATED") return "auto";
  if (mode !== "ANY") return undefined;
  const [only, second] = allowed;
  return only !== undefined && second === undefined ? { type: "function", function: { name: only } } : "required";
}
