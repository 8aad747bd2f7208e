import { deepStrictEqual } from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import type { JsonObject, JsonValue } from "../../services/provider-adapter/provider.ts";
import { chatToGeminiRequest } from "../../services/provider-adapter/translate/chat-to-gemini/request.ts";
import {
  isObject,
  listOf,
  objectOf,
  objectsOf,
  parseObject,
  textOf,
} from "../../services/provider-adapter/translate/json-reading.ts";
import { type Recording, type ReplayResult, readRecordings } from "./recording.ts";

/** Requests of one scenario in OpenAI's format, translated, against what Gemini accepted from the same framework. */
export function replayGeminiTwins(folder: string, host: string, native: readonly Recording[]): ReplayResult {
  const failures: string[] = [];
  let ran = 0;
  const file = `${folder}/twins.jsonl`;
  const scenarios = existsSync(file) ? readFileSync(file, "utf8").split("\n").map(parseObject) : [];
  const byId = new Map(native.map((recording) => [recording.id, recording]));
  const others = new Map<string, Map<string, Recording>>();
  for (const scenario of scenarios) {
    const expected = objectsOf(scenario?.native_format).find(({ provider }) => provider === host);
    if (scenario === undefined || expected === undefined) continue;
    for (const twin of objectsOf(scenario.openai_format)) {
      const provider = textOf(twin.provider);
      const known = others.get(provider) ?? new Map(readRecordings(folder, provider).map((own) => [own.id, own]));
      others.set(provider, known);
      for (const [turn, id] of listOf(twin.ids).entries()) {
        const theirs = byId.get(textOf(listOf(expected.ids)[turn]));
        const ours = parseObject(textOf(known.get(textOf(id))?.request.body));
        if (ours === undefined || theirs === undefined || !Array.isArray(ours.messages)) continue;
        ran += 1;
        const difference = compareTwins(ours, theirs);
        if (difference !== "") failures.push(`${textOf(scenario.scenario)} ${provider} ${textOf(id)}: ${difference}`);
      }
    }
  }
  return { name: `${host} twin request`, ran, failures };
}

function compareTwins(ours: JsonObject, theirs: Recording): string {
  const settings = { model: theirs.model, stream: false, defaultParams: {}, outputTokenCap: undefined };
  try {
    const { body } = chatToGeminiRequest(ours, { ...settings, dropParams: true, allowedParams: [] });
    deepStrictEqual(outline(body), outline(objectOf(parseObject(textOf(theirs.request.body)))));
    return "";
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Gemini takes both spellings of a member, `inline_data` and `inlineData`. */
function camelCase(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(camelCase);
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, own]) => [
      name.replace(/_([a-z])/g, (_, c: string) => c.toUpperCase()),
      camelCase(own),
    ]),
  );
}

/**
 * What two frameworks' requests for one scenario have in common: instructions, who says what, tools, their choice and
 * their results. Of what the two models wrote, only that they called tools and which.
 */
function outline(given: JsonObject): JsonObject {
  const body = objectOf(camelCase(given));
  const { parts } = objectOf(body.systemInstruction);
  const calling = objectOf(objectOf(body.toolConfig).functionCallingConfig);
  return {
    system: (Array.isArray(parts) ? objectsOf(parts) : [objectOf(parts)])
      .map(({ text }) => textOf(text))
      .join("")
      .trim(),
    contents: objectsOf(body.contents).map(({ role, parts: own }) => ({
      role: textOf(role),
      parts: objectsOf(own).flatMap((part) => outlinePart(part, role === "model")),
    })),
    tools: (Array.isArray(body.tools) ? objectsOf(body.tools) : [objectOf(body.tools)])
      .flatMap((tool) => objectsOf(tool.functionDeclarations))
      .map(outlineTool),
    choice: textOf(calling.mode).toUpperCase() || "AUTO",
  };
}

/** A tool's name and the names of its parameters. */
function outlineTool({ name, parameters, parametersJsonSchema }: JsonObject): string {
  const { properties } = objectOf(parametersJsonSchema ?? parameters);
  return `${textOf(name)}(${Object.keys(objectOf(properties)).sort().join()})`;
}

function outlinePart(part: JsonObject, model: boolean): string[] {
  if (isObject(part.functionCall)) return [`call ${textOf(part.functionCall.name)}`];
  if (isObject(part.functionResponse)) return [`result ${textOf(part.functionResponse.name)}`];
  if (isObject(part.inlineData)) return [`inline ${textOf(part.inlineData.mimeType)}`];
  if (isObject(part.fileData)) return [`file ${textOf(part.fileData.fileUri)}`];
  return model ? [] : [`text ${textOf(part.text).trim()}`];
}
