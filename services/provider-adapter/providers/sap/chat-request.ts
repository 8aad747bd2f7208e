import type { JsonObject, JsonValue } from "../../provider.ts";
import { isObject, objectOf, objectsOf, textOf, without } from "../../translate/json-reading.ts";

/** What stands in the prompt and not among the model's parameters. */
const ofPrompt = ["model", "messages", "tools", "response_format", "stream"] as const;

/**
 * A chat completion request in the words of the orchestration service, https://api.sap.com/api/ORCHESTRATION_API: its
 * prompt is a template, whose messages, tools and parameters are OpenAI's.
 */
export function orchestrationRequest(chat: JsonObject, model: string, stream: boolean): JsonObject {
  const texts: JsonObject = {};
  const prompt: JsonObject = { template: objectsOf(chat.messages).map((message) => templateMessage(message, texts)) };
  if (objectsOf(chat.tools).length > 0) prompt.tools = objectsOf(chat.tools);
  if (isObject(chat.response_format)) prompt.response_format = chat.response_format;
  const [name = "", version = "latest"] = model.split("@");
  const params = without(chat, ...ofPrompt);
  const config: JsonObject = { modules: { prompt_templating: { prompt, model: { name, version, params } } } };
  if (stream) config.stream = { enabled: true };
  return Object.keys(texts).length > 0 ? { config, placeholder_values: texts } : { config };
}

/** Text that looks like a placeholder would be read as one: it travels as the value of a placeholder instead. */
function templateMessage(message: JsonObject, texts: JsonObject): JsonObject {
  const { content } = message;
  if (typeof content === "string") return { ...message, content: templateText(content, texts) };
  if (!Array.isArray(content)) return message;
  const parts: JsonValue[] = content.map((part) => {
    const isText = isObject(part) && part.type === "text";
    return isText ? { ...objectOf(part), text: templateText(textOf(objectOf(part).text), texts) } : part;
  });
  return { ...message, content: parts };
}

function templateText(text: string, texts: JsonObject): string {
  if (!text.includes("{{")) return text;
  const name = `text_${Object.keys(texts).length}`;
  texts[name] = text;
  return `{{?${name}}}`;
}
