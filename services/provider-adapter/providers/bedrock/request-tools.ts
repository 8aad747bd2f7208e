import type { JsonObject } from "../../provider.ts";
import type { AnthropicTools } from "../../translate/chat-to-messages/request-tools.ts";
import { isObject, objectOf, objectsOf, textOf } from "../../translate/json-reading.ts";
import { refuseOrDrop, type TranslationSettings } from "../../translate/unsupported-parameter.ts";
import type { BedrockModel } from "./bedrock-model.ts";
import { cachePoint } from "./request-content.ts";

export interface ConverseTools {
  readonly toolConfig: JsonObject | undefined;
  /** Members of `additionalModelRequestFields`. */
  readonly additional: JsonObject;
}

/** Anthropic's own tools that run at the client; Bedrock takes them beside its `toolConfig`. */
const clientTools = /^(?:bash|computer|memory|text_editor)_\d+$/;

/**
 * Turns Anthropic's tools and choice, which those of a chat completion are turned into as well, into a `toolConfig`.
 * A conversation that holds tool calls needs one, so where the client sent no tools, those that were called stand in it
 * without a schema. `none` has no word at Bedrock: the tools are left out, where no call needs them, else it is Claude's.
 */
export function converseTools(
  own: Pick<AnthropicTools, "tools" | "choice">,
  messages: readonly JsonObject[],
  model: BedrockModel,
  settings: TranslationSettings,
): ConverseTools {
  const { choice } = own;
  const called = calledTools(messages);
  if (choice?.type === "none") {
    if (called.length === 0) return { toolConfig: undefined, additional: {} };
    if (model.family !== "claude") {
      refuseOrDrop(settings, "tool_choice", "Bedrock has no tool_choice 'none' in a conversation with tool calls.");
    }
  }
  const additional: JsonObject = {};
  const anthropicOwn = own.tools.filter((tool) => clientTools.test(textOf(tool.type)));
  if (anthropicOwn.length > 0 && model.family === "claude") additional.tools = anthropicOwn;
  const rest = model.family === "claude" ? own.tools.filter((tool) => !anthropicOwn.includes(tool)) : own.tools;
  const tools = rest.flatMap((tool) => converseTool(tool, model, settings));
  if (tools.length === 0 && anthropicOwn.length === 0) tools.push(...called.map(namedTool));
  if (tools.length === 0) return { toolConfig: undefined, additional };
  const toolChoice = converseChoice(choice, model, settings, additional);
  return { toolConfig: toolChoice === undefined ? { tools } : { tools, toolChoice }, additional };
}

function converseTool(tool: JsonObject, model: BedrockModel, settings: TranslationSettings): JsonObject[] {
  const point = model.cachePoints.tools ? cachePoint(tool) : [];
  if (isObject(tool.input_schema)) return [toolSpec(tool), ...point];
  // Written by the client in Converse's own words.
  if (isObject(tool.toolSpec) || isObject(tool.systemTool) || isObject(tool.cachePoint)) {
    const { type: _, cache_control: _mark, ...own } = tool;
    return [own, ...point];
  }
  refuseOrDrop(settings, "tools", `Bedrock has no tool of type '${textOf(tool.type)}'.`);
  return [];
}

function toolSpec(tool: JsonObject): JsonObject {
  const spec: JsonObject = { name: textOf(tool.name), inputSchema: { json: objectOf(tool.input_schema) } };
  if (textOf(tool.description) !== "") spec.description = textOf(tool.description);
  if (tool.strict === true) spec.strict = true;
  return { toolSpec: spec };
}

function namedTool(name: string): JsonObject {
  return { toolSpec: { name, inputSchema: { json: { type: "object", properties: {} } } } };
}

function calledTools(messages: readonly JsonObject[]): string[] {
  const names = messages
    .flatMap(({ content }) => objectsOf(content))
    .filter(({ toolUse }) => isObject(toolUse) && toolUse.type !== "server_tool_use")
    .map(({ toolUse }) => textOf(objectOf(toolUse).name));
  return [...new Set(names)];
}

/**
 * The choice, or undefined for the default, which is `auto`. One call at a time and no call at all are Claude's own
 * parameter, in which the choice has to stand then. https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolChoice.html
 */
function converseChoice(
  choice: JsonObject | undefined,
  model: BedrockModel,
  settings: TranslationSettings,
  additional: JsonObject,
): JsonObject | undefined {
  if (choice === undefined) return undefined;
  if (choice.type === "none" || choice.disable_parallel_tool_use === true) {
    if (model.family === "claude") {
      additional.tool_choice = choice;
      return undefined;
    }
    if (choice.type === "none") return undefined;
    refuseOrDrop(settings, "parallel_tool_calls", "Of Bedrock's models only Claude can be kept from parallel calls.");
  }
  if (choice.type === "tool") return { tool: { name: textOf(choice.name) } };
  if (choice.type === "any") return { any: {} };
  return { auto: {} };
}
