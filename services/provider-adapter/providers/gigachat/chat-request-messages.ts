import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { JsonObject, JsonValue } from "../../provider.ts";
import { isObject, objectOf, objectsOf, parseObject, textOf } from "../../translate/json-reading.ts";
import { refuseOrDrop, type TranslationSettings } from "../../translate/unsupported-parameter.ts";

/**
 * Turns chat messages into GigaChat's. A message holds one call at most: calls that were made at once are told one after
 * the other, each with its result.
 */
export function gigachatMessages(messages: JsonValue | undefined, settings: TranslationSettings): JsonObject[] {
  if (!Array.isArray(messages)) {
    throw gatewayError(Reason.INVALID_REQUEST, "'messages' has to be an array.", { param: "messages" });
  }
  const said = objectsOf(messages);
  const system = said.filter(isSystem).map(({ content }) => textIn(content, settings));
  const others = said.filter((message) => !isSystem(message));
  const results = new Map(others.map((message) => [textOf(message.tool_call_id), message]));
  const told = others.flatMap((message) => gigachatMessage(message, results, settings));
  // One message of the system's, before all others.
  return system.length === 0 ? told : [{ role: "system", content: system.join("\n\n") }, ...told];
}

function isSystem({ role }: JsonObject): boolean {
  return role === "system" || role === "developer";
}

function gigachatMessage(
  message: JsonObject,
  results: ReadonlyMap<string, JsonObject>,
  settings: TranslationSettings,
): JsonObject[] {
  const content = textIn(message.content, settings);
  switch (message.role) {
    case "user":
      return [{ role: "user", content }];
    case "function":
      return [{ role: "function", name: textOf(message.name), content: jsonText(content) }];
    case "tool":
      return [];
    case "assistant":
      return assistantMessages(message, content, results, settings);
    default:
      throw gatewayError(Reason.INVALID_REQUEST, `gigachat has no messages of role '${textOf(message.role)}'.`, {
        param: "messages",
      });
  }
}

function assistantMessages(
  message: JsonObject,
  content: string,
  results: ReadonlyMap<string, JsonObject>,
  settings: TranslationSettings,
): JsonObject[] {
  const calls = objectsOf(message.tool_calls);
  if (calls.length === 0) return [{ role: "assistant", content }];
  return calls.flatMap((call, at) => {
    const { name, arguments: args } = objectOf(call.function);
    const functionCall = { name: textOf(name), arguments: parseObject(textOf(args)) ?? {} };
    const told: JsonObject[] = [{ role: "assistant", content: at === 0 ? content : "", function_call: functionCall }];
    const result = results.get(textOf(call.id));
    if (result !== undefined) {
      told.push({ role: "function", name: textOf(name), content: jsonText(textIn(result.content, settings)) });
    }
    return told;
  });
}

/** The result of a function has to be JSON. */
function jsonText(text: string): string {
  return parseObject(text) === undefined ? JSON.stringify({ result: text }) : text;
}

function textIn(content: JsonValue | undefined, settings: TranslationSettings): string {
  if (!Array.isArray(content)) return textOf(content);
  return content
    .map((part) => {
      if (!isObject(part)) return textOf(part);
      if (part.type === "text" || part.type === "refusal") return textOf(part.text) || textOf(part.refusal);
      refuseOrDrop(settings, "messages", `gigachat takes no '${textOf(part.type)}' in a message.`);
      return "";
    })
    .join("");
}
