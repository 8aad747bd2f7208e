import type { JsonObject, JsonValue } from "../../services/provider-adapter/provider.ts";
import {
  isObject,
  objectOf,
  objectsOf,
  parseObject,
  textOf,
} from "../../services/provider-adapter/translate/json-reading.ts";

/**
 * What requests for one scenario have in common, whoever wrote them: instructions, who says what in which order, the tools
 * with their parameters, the choice of tools. Of what the model wrote before, only the tools that it called.
 */
export interface RequestOutline extends JsonObject {
  readonly system: string;
  /** `user text …`, `user image`, `call <name>`, `result …`. */
  readonly said: string[];
  /** `name(parameters)`. */
  readonly tools: string[];
  /** `auto`, `none`, `any` or a tool's name. */
  readonly choice: string;
}

/** The dialects of which there are outlines. */
export type OutlinedDialect = "messages" | "converse" | "gemini" | "cohere" | "ollama";

export const outlines: Readonly<Record<OutlinedDialect, (body: JsonObject) => RequestOutline>> = {
  messages: (body) => ({
    system: systemText(body.system),
    said: objectsOf(body.messages).flatMap(({ role, content }) =>
      partsOf(content).flatMap((part) => block(role, part)),
    ),
    tools: objectsOf(body.tools).map(({ name, input_schema }) => signature(name, input_schema)),
    choice: choiceOf(objectOf(body.tool_choice).type, objectOf(body.tool_choice).name),
  }),
  converse: (body) => ({
    system: systemText(body.system),
    said: objectsOf(body.messages).flatMap(({ role, content }) =>
      objectsOf(content).flatMap((part) => converseBlock(role, part)),
    ),
    tools: objectsOf(objectOf(body.toolConfig).tools)
      .map(({ toolSpec }) => objectOf(toolSpec))
      .filter(({ name }) => name !== undefined)
      .map(({ name, inputSchema }) => signature(name, objectOf(inputSchema).json)),
    choice: converseChoice(objectOf(objectOf(body.toolConfig).toolChoice)),
  }),
  gemini: (given) => geminiOutline(objectOf(camelCase(given))),
  cohere: (body) => openAiOutline(body, cohereChoice),
  ollama: (body) => openAiOutline(body, () => "auto"),
};

const clean = (text: JsonValue | undefined) => textOf(text).trim().replace(/\s+/g, " ");

function partsOf(content: JsonValue | undefined): JsonObject[] {
  return typeof content === "string" ? [{ type: "text", text: content }] : objectsOf(content);
}

function systemText(system: JsonValue | undefined): string {
  return partsOf(system)
    .map(({ text }) => clean(text))
    .filter((text) => text !== "")
    .join(" ");
}

function signature(name: JsonValue | undefined, schema: JsonValue | undefined): string {
  return `${textOf(name)}(${Object.keys(objectOf(objectOf(schema).properties))
    .sort()
    .join()})`;
}

function choiceOf(type: JsonValue | undefined, name: JsonValue | undefined): string {
  if (type === "tool") return textOf(name);
  return textOf(type) || "auto";
}

function block(role: JsonValue | undefined, part: JsonObject): string[] {
  switch (part.type) {
    case "text":
      return said(role, part.text);
    case "tool_use":
      return [`call ${textOf(part.name)}`];
    case "tool_result": {
      const inner = partsOf(part.content).map((own) => (own.type === "text" ? clean(own.text) : textOf(own.type)));
      return [`result ${inner.join(" ")}`];
    }
    case "thinking":
    case "redacted_thinking":
      return [];
    default:
      return [`${textOf(role)} ${textOf(part.type)}`];
  }
}

function said(role: JsonValue | undefined, text: JsonValue | undefined): string[] {
  return role === "user" && clean(text) !== "" ? [`user text ${clean(text)}`] : [];
}

function converseBlock(role: JsonValue | undefined, part: JsonObject): string[] {
  if (part.text !== undefined) return said(role, part.text);
  if (isObject(part.toolUse)) return [`call ${textOf(part.toolUse.name)}`];
  if (isObject(part.toolResult)) {
    const inner = objectsOf(part.toolResult.content).map((own) =>
      isObject(own.json) ? jsonText(own.json) : clean(own.text) || (Object.keys(own)[0] ?? ""),
    );
    return [`result ${inner.join(" ")}`];
  }
  const [kind = ""] = Object.keys(part);
  return kind === "cachePoint" || kind === "reasoningContent" ? [] : [`${textOf(role)} ${kind}`];
}

function converseChoice(choice: JsonObject): string {
  const [kind = "auto"] = Object.keys(choice);
  return kind === "tool" ? textOf(objectOf(choice.tool).name) : kind;
}

/** Gemini takes both spellings of a member, `inline_data` and `inlineData`. */
function camelCase(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(camelCase);
  if (!isObject(value)) return value;
  const spelt = (name: string) => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
  return Object.fromEntries(
    Object.entries(value).map(([name, own]) => [spelt(name), name === "properties" ? own : camelCase(own)]),
  );
}

function geminiOutline(body: JsonObject): RequestOutline {
  const { parts } = objectOf(body.systemInstruction);
  const { mode, allowedFunctionNames } = objectOf(objectOf(body.toolConfig).functionCallingConfig);
  const [named] = Array.isArray(allowedFunctionNames) ? allowedFunctionNames : [];
  const word = textOf(mode).toLowerCase() || "auto";
  return {
    system: systemText(Array.isArray(parts) ? parts : [objectOf(parts)]),
    said: objectsOf(body.contents).flatMap(({ role, parts: own }) =>
      objectsOf(own).flatMap((part) => geminiPart(role ?? "user", part)),
    ),
    tools: (Array.isArray(body.tools) ? objectsOf(body.tools) : [objectOf(body.tools)])
      .flatMap((tool) => objectsOf(tool.functionDeclarations))
      .map(({ name, parameters, parametersJsonSchema }) => signature(name, parametersJsonSchema ?? parameters)),
    choice: word === "any" && named !== undefined ? textOf(named) : word,
  };
}

function geminiPart(role: JsonValue, part: JsonObject): string[] {
  if (isObject(part.functionCall)) return [`call ${textOf(part.functionCall.name)}`];
  if (isObject(part.functionResponse)) return [`result ${resultText(objectOf(part.functionResponse.response))}`];
  if (isObject(part.inlineData)) return [`${textOf(role)} ${textOf(part.inlineData.mimeType)}`];
  if (isObject(part.fileData)) return [`${textOf(role)} file ${textOf(part.fileData.fileUri)}`];
  return said(role, part.text);
}

/** Frameworks put a result under a name of their own: `result`, `output`, `content`, `return_value`. */
function resultText(response: JsonObject): string {
  const values = Object.entries(response)
    .filter(([name]) => name !== "name")
    .map(([, value]) => value);
  const [only = null] = values;
  return values.length === 1 ? resultValue(only) : jsonText(response);
}

function resultValue(value: JsonValue): string {
  if (typeof value === "string") return clean(value);
  if (Array.isArray(value)) return value.map((own) => clean(objectOf(own).text) || jsonText(own)).join(" ");
  return isObject(value) && Object.keys(value).length === 1 ? resultText(value) : jsonText(value);
}

function jsonText(value: JsonValue): string {
  return clean(JSON.stringify(value));
}

/** Cohere and Ollama write messages nearly as OpenAI does. */
function openAiOutline(body: JsonObject, choice: (body: JsonObject) => string): RequestOutline {
  const messages = objectsOf(body.messages);
  return {
    system: messages
      .filter(({ role }) => role === "system")
      .map(({ content }) => systemText(content))
      .join(" "),
    said: messages.flatMap(openAiMessage),
    tools: objectsOf(body.tools).map((tool) =>
      signature(objectOf(tool.function).name, objectOf(tool.function).parameters),
    ),
    choice: choice(body),
  };
}

function openAiMessage({ role, content, tool_calls, images }: JsonObject): string[] {
  if (role === "system") return [];
  if (role === "tool") return [`result ${toolContent(content)}`];
  const pictures = Array.isArray(images) ? images.map(() => "user image") : [];
  const parts = partsOf(content).flatMap((part) =>
    part.type === "text" || role === "assistant"
      ? said(role, part.text)
      : [`${textOf(role)} ${textOf(part.type).replace("image_url", "image")}`],
  );
  return [
    ...parts,
    ...pictures,
    ...objectsOf(tool_calls).map((call) => `call ${textOf(objectOf(call.function).name)}`),
  ];
}

/** Text, or documents whose data hold it. */
function toolContent(content: JsonValue | undefined): string {
  return partsOf(content)
    .map((part) => {
      const data = objectOf(part.document).data;
      const inner = typeof data === "string" ? (parseObject(data) ?? data) : data;
      if (inner === undefined) return clean(part.text);
      return isObject(inner) ? resultText(inner) : clean(inner);
    })
    .join(" ");
}

function cohereChoice({ tool_choice }: JsonObject): string {
  return { NONE: "none", REQUIRED: "any" }[textOf(tool_choice)] ?? "auto";
}
