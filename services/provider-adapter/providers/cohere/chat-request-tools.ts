import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { JsonObject } from "../../provider.ts";
import { isObject, objectOf, objectsOf, textOf, without } from "../../translate/json-reading.ts";
import { refuseOrDrop, type TranslationSettings } from "../../translate/unsupported-parameter.ts";

/**
 * Adds `tools`, `tool_choice` and `strict_tools`. Cohere can be told to call a tool or none, but not which one: a named
 * tool is forced by leaving the others out.
 */
export function addTools(body: JsonObject, chat: JsonObject, settings: TranslationSettings): void {
  const choice = chat.tool_choice;
  if (choice === "none") body.tool_choice = "NONE";
  const tools = objectsOf(chat.tools).filter((tool) => isFunction(tool, settings));
  if (tools.length === 0) return;
  const named = namesOf(choice);
  const offered = named === undefined ? tools : tools.filter((tool) => named.has(textOf(objectOf(tool.function).name)));
  if (offered.length === 0) {
    throw gatewayError(Reason.INVALID_REQUEST, "tool_choice names a tool that is not there.", { param: "tool_choice" });
  }
  body.tools = offered.map(cohereTool);
  if (offered.every((tool) => objectOf(tool.function).strict === true)) body.strict_tools ??= true;
  const mode = objectOf(objectOf(choice).allowed_tools).mode;
  const forced = choice === "required" || choice === "any" || (isObject(choice) && mode !== "auto");
  if (forced) body.tool_choice = "REQUIRED";
}

function isFunction(tool: JsonObject, settings: TranslationSettings): boolean {
  if (isObject(tool.function)) return true;
  refuseOrDrop(settings, "tools", `Cohere has no tools of type '${textOf(tool.type)}'.`);
  return false;
}

/** The tools that a choice names; undefined where it names none. */
function namesOf(choice: JsonObject[string] | undefined): ReadonlySet<string> | undefined {
  if (!isObject(choice)) return undefined;
  if (isObject(choice.allowed_tools)) {
    return new Set(objectsOf(choice.allowed_tools.tools).map((tool) => textOf(objectOf(tool.function).name)));
  }
  return new Set([textOf(objectOf(choice.function).name)]);
}

/** Cohere wants a schema even for a function without parameters. */
function cohereTool(tool: JsonObject): JsonObject {
  const definition = without(objectOf(tool.function), "strict");
  const parameters = isObject(definition.parameters) ? definition.parameters : { type: "object", properties: {} };
  return { type: "function", function: { ...definition, parameters } };
}
