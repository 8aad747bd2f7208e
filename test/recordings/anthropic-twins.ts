import { deepStrictEqual } from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import type { JsonObject } from "../../services/provider-adapter/provider.ts";
import { chatToMessagesRequest } from "../../services/provider-adapter/translate/chat-to-messages/request.ts";
import {
  listOf,
  objectOf,
  objectsOf,
  parseObject,
  textOf,
} from "../../services/provider-adapter/translate/json-reading.ts";
import { type Recording, type ReplayResult, readRecordings } from "./recording.ts";

/** Requests of one scenario in OpenAI's format, translated, against what Anthropic accepted from the same framework. */
export function replayTwins(folder: string, native: ReadonlyMap<string, Recording>): ReplayResult {
  const failures: string[] = [];
  let ran = 0;
  const file = `${folder}/twins.jsonl`;
  const scenarios = existsSync(file) ? readFileSync(file, "utf8").split("\n").map(parseObject) : [];
  const others = new Map<string, Map<string, Recording>>();
  for (const scenario of scenarios) {
    const expected = objectsOf(scenario?.native_format).find(({ provider }) => provider === "anthropic");
    if (scenario === undefined || expected === undefined) continue;
    for (const twin of objectsOf(scenario.openai_format)) {
      const provider = textOf(twin.provider);
      const known = others.get(provider) ?? new Map(readRecordings(folder, provider).map((own) => [own.id, own]));
      others.set(provider, known);
      for (const [turn, id] of listOf(twin.ids).entries()) {
        const ours = parseObject(textOf(known.get(textOf(id))?.request.body));
        const theirs = parseObject(textOf(native.get(textOf(listOf(expected.ids)[turn]))?.request.body));
        if (ours === undefined || theirs === undefined || !Array.isArray(ours.messages)) continue;
        ran += 1;
        const difference = compareTwins(ours, theirs);
        if (difference !== "") failures.push(`${textOf(scenario.scenario)} ${provider} ${textOf(id)}: ${difference}`);
      }
    }
  }
  return { name: "twin request", ran, failures };
}

function compareTwins(ours: JsonObject, theirs: JsonObject): string {
  const settings = { model: textOf(theirs.model), stream: false, defaultParams: {}, outputTokenCap: undefined };
  try {
    const { body } = chatToMessagesRequest(ours, { ...settings, dropParams: true, allowedParams: [] });
    deepStrictEqual(outline(body), outline(theirs));
    return "";
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/**
 * What two frameworks' requests for one scenario have in common: instructions, who says what, tools, their choice and
 * their results. Of what the two models wrote, only that they called tools and which.
 */
function outline(body: JsonObject): JsonObject {
  const { system } = body;
  return {
    system: typeof system === "string" ? system.trim() : plain(objectsOf(system)),
    messages: objectsOf(body.messages)
      .map(({ role, content }) => ({
        role: textOf(role),
        content: typeof content === "string" ? [`text ${content.trim()}`] : objectsOf(content).flatMap(outlineBlock),
      }))
      .map((message) =>
        message.role === "assistant" ? { ...message, content: message.content.filter(isCall) } : message,
      ),
    tools: objectsOf(body.tools).map((tool) => textOf(tool.name)),
    choice: textOf(objectOf(body.tool_choice).type) || "auto",
  };
}

const isCall = (outlined: string) => outlined.startsWith("tool_use ");
const plain = (blocks: readonly JsonObject[]) =>
  blocks
    .map(({ text }) => textOf(text))
    .join("")
    .trim();

function outlineBlock(block: JsonObject): string[] {
  switch (block.type) {
    case "text":
      return [`text ${textOf(block.text).trim()}`];
    case "tool_use":
      return [`tool_use ${textOf(block.name)}`];
    case "tool_result": {
      const { content } = block;
      return typeof content === "string"
        ? [`tool_result text ${content.trim()}`]
        : objectsOf(content)
            .flatMap(outlineBlock)
            .map((own) => `tool_result ${own}`);
    }
    default:
      return [`${textOf(block.type)} ${textOf(objectOf(block.source).type)}`];
  }
}
