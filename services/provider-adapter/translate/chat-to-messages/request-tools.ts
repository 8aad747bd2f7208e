import type { JsonObject, JsonValue } from "../../provider.ts";
import { isObject, objectOf, objectsOf, textOf, without } from "../json-reading.ts";
import { refuseOrDrop, type TranslationSettings } from "../unsupported-parameter.ts";
import type { ClaudeModel } from "./claude-models.ts";
import { outputSchema } from "./output-schema.ts";

/** The tool that stands in where a JSON answer is asked for and the model has no structured outputs. */
export const jsonToolName = "json_tool_call";

export interface AnthropicTools {
  readonly tools: JsonObject[];
  readonly choice: JsonObject | undefined;
  /** True where the client spoke the old `functions` and expects `function_call` back. */
  readonly legacy: boolean;
}

/**
 * Turns `tools`, `tool_choice`, `parallel_tool_calls`, the legacy `functions` and `function_call`, and
 * `web_search_options` into Anthropic's tools. A tool that is no OpenAI function passes as it is: it is one of
 * Anthropic's own (`web_search_…`, `computer_…`). What stands beside `function` on a tool (`cache_control`,
 * `defer_loading`, …) goes onto Anthropic's tool.
 */
export function anthropicTools(chat: JsonObject, model: ClaudeModel, settings: TranslationSettings): AnthropicTools {
  const functions = objectsOf(chat.functions);
  const legacy = functions.length > 0 && chat.tools === undefined;
  const tools: JsonObject[] = [];
  for (const tool of objectsOf(chat.tools)) {
    const translated = anthropicTool(tool, model, settings);
    if (translated !== undefined) tools.push(translated);
  }
  if (legacy) tools.push(...functions.map((definition) => functionTool(definition, {}, model)));
  if (isObject(chat.web_search_options)) tools.push(webSearchTool(chat.web_search_options));
  if (tools.length === 0) return { tools, choice: undefined, legacy };
  const chosen = legacy ? toolChoice(chat.function_call) : toolChoice(chat.tool_choice);
  const allowed = allowedTools(chat.tool_choice);
  return {
    tools: allowed === undefined ? tools : tools.filter((tool) => allowed.has(textOf(tool.name))),
    choice: withParallel(chosen, legacy ? false : chat.parallel_tool_calls),
    legacy,
  };
}

function anthropicTool(tool: JsonObject, model: ClaudeModel, settings: TranslationSettings): JsonObject | undefined {
  if (isObject(tool.function)) return functionTool(tool.function, without(tool, "type", "function"), model);
  if (tool.type === "custom" && isObject(tool.custom)) {
    refuseOrDrop(settings, "tools", "Anthropic has no free-form tools (type 'custom').");
    return undefined;
  }
  return { ...tool };
}

function functionTool(definition: JsonObject, marks: JsonObject, model: ClaudeModel): JsonObject {
  const strict = definition.strict === true && model.structuredOutputs;
  const schema = inputSchema(definition.parameters);
  const tool: JsonObject = { name: textOf(definition.name) };
  if (typeof definition.description === "string") tool.description = definition.description;
  tool.input_schema = strict ? outputSchema(schema) : schema;
  if (strict) tool.strict = true;
  return { ...tool, ...without(definition, "name", "description", "parameters", "strict"), ...marks };
}

/** Anthropic wants an object schema even for a function without parameters. */
function inputSchema(parameters: JsonValue | undefined): JsonObject {
  const schema = objectOf(parameters);
  if (schema.type === "object" && isObject(schema.properties)) return schema;
  return { ...schema, type: "object", properties: objectOf(schema.properties) };
}

function toolChoice(choice: JsonValue | undefined): JsonObject | undefined {
  if (choice === "auto" || choice === "none") return { type: choice };
  // `any` is Mistral's word for it.
  if (choice === "required" || choice === "any") return { type: "any" };
  if (!isObject(choice)) return undefined;
  if (isObject(choice.function)) return { type: "tool", name: textOf(choice.function.name) };
  if (isObject(choice.allowed_tools)) return { type: choice.allowed_tools.mode === "required" ? "any" : "auto" };
  // The legacy `function_call: {"name"}` has no type; whatever has one is Anthropic's own choice.
  return choice.type === undefined ? { type: "tool", name: textOf(choice.name) } : { ...choice };
}

function allowedTools(choice: JsonValue | undefined): Set<string> | undefined {
  if (!isObject(choice) || !isObject(choice.allowed_tools)) return undefined;
  return new Set(
    objectsOf(choice.allowed_tools.tools).map((tool) => textOf(objectOf(tool.function).name) || textOf(tool.name)),
  );
}

function withParallel(choice: JsonObject | undefined, parallel: JsonValue | undefined): JsonObject | undefined {
  if (parallel !== false || choice?.type === "none") return choice;
  return { ...(choice ?? { type: "auto" }), disable_parallel_tool_use: true };
}

/** How many searches a context size stands for; LiteLLM's numbers. */
const searchesOfSize: Readonly<Record<string, number>> = { low: 1, medium: 5, high: 10 };

function webSearchTool(options: JsonObject): JsonObject {
  const tool: JsonObject = { type: "web_search_20250305", name: "web_search" };
  const uses = searchesOfSize[textOf(options.search_context_size)];
  if (uses !== undefined) tool.max_uses = uses;
  const location = objectOf(objectOf(options.user_location).approximate);
  if (Object.keys(location).length > 0) tool.user_location = { type: "approximate", ...location };
  return tool;
}

/**
 * Adds the tool whose arguments become the content. It is forced, unless the model may also call the client's tools, or
 * thinks: Anthropic refuses a forced tool then, and the model has to choose it by itself.
 */
export function withJsonTool(own: AnthropicTools, schema: JsonObject, thinks: boolean): AnthropicTools {
  const description = "Gives the answer to the user. Call it exactly once, with the whole answer as its arguments.";
  const tools = [...own.tools, { name: jsonToolName, description, input_schema: schema }];
  if (thinks) return { ...own, tools, choice: { type: "auto" } };
  const forced: JsonObject = own.tools.length > 0 ? { type: "any" } : { type: "tool", name: jsonToolName };
  return { ...own, tools, choice: own.choice?.type === "tool" ? own.choice : forced };
}
