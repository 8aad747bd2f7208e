import type { JsonObject, JsonValue } from "../../provider.ts";
import { isObject, objectOf, objectsOf, textOf } from "../json-reading.ts";
import { refuseOrDrop, type TranslationSettings } from "../unsupported-parameter.ts";
import { geminiSchema } from "./json-schema.ts";

export interface GeminiTools {
  readonly tools: JsonObject[];
  /** `toolConfig.functionCallingConfig`. */
  readonly calling: JsonObject | undefined;
  /** True where the client spoke the old `functions` and expects `function_call` back. */
  readonly legacy: boolean;
}

/**
 * Turns `tools`, `tool_choice`, `parallel_tool_calls`, the legacy `functions` and `function_call`, and
 * `web_search_options` into Gemini's tools. A tool without a `type` is one of Gemini's own (`googleSearch`,
 * `codeExecution`, …) and passes as it is. `strict` has no counterpart and no effect.
 */
export function geminiTools(chat: JsonObject, settings: TranslationSettings): GeminiTools {
  const legacy = objectsOf(chat.functions).length > 0 && chat.tools === undefined;
  const own: JsonObject[] = [];
  const declarations = objectsOf(chat.functions).length > 0 && legacy ? objectsOf(chat.functions).map(declaration) : [];
  for (const tool of objectsOf(chat.tools)) {
    if (isObject(tool.function)) declarations.push(declaration(tool.function));
    else own.push(...builtInTool(tool, settings));
  }
  if (isObject(chat.web_search_options)) own.push({ googleSearch: {} });
  const allowed = allowedTools(chat.tool_choice);
  const offered = declarations.filter(({ name }) => allowed === undefined || allowed.has(textOf(name)));
  if (chat.parallel_tool_calls === false && offered.length > 1) {
    refuseOrDrop(settings, "parallel_tool_calls", "Gemini cannot be kept from calling several tools at once.");
  }
  const tools = offered.length === 0 ? own : [{ functionDeclarations: offered }, ...own];
  const choice = legacy ? chat.function_call : chat.tool_choice;
  return { tools, calling: offered.length === 0 ? undefined : callingConfig(choice), legacy };
}

function declaration(definition: JsonObject): JsonObject {
  const result: JsonObject = { name: textOf(definition.name) };
  if (typeof definition.description === "string") result.description = definition.description;
  if (isObject(definition.parameters)) {
    result.parametersJsonSchema = geminiSchema({ type: "object", ...definition.parameters });
  }
  return result;
}

function builtInTool(tool: JsonObject, settings: TranslationSettings): JsonObject[] {
  const type = textOf(tool.type);
  if (type === "") return [{ ...tool }];
  if (type.startsWith("web_search")) return [{ googleSearch: {} }];
  if (type === "code_interpreter" || type.startsWith("code_execution")) return [{ codeExecution: {} }];
  refuseOrDrop(settings, "tools", `Gemini has no tool of type '${type}'.`);
  return [];
}

function callingConfig(choice: JsonValue | undefined): JsonObject | undefined {
  if (choice === "auto") return { mode: "AUTO" };
  if (choice === "none") return { mode: "NONE" };
  // `any` is Mistral's word for it.
  if (choice === "required" || choice === "any") return { mode: "ANY" };
  if (!isObject(choice)) return undefined;
  if (isObject(choice.allowed_tools)) return { mode: choice.allowed_tools.mode === "required" ? "ANY" : "AUTO" };
  const name = textOf(objectOf(choice.function).name) || textOf(choice.name);
  return name === "" ? undefined : { mode: "ANY", allowedFunctionNames: [name] };
}

function allowedTools(choice: JsonValue | undefined): Set<string> | undefined {
  if (!isObject(choice) || !isObject(choice.allowed_tools)) return undefined;
  const named = objectsOf(choice.allowed_tools.tools);
  return new Set(named.map((tool) => textOf(objectOf(tool.function).name) || textOf(tool.name)));
}
