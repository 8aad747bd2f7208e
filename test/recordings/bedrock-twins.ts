import { deepStrictEqual } from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import type { JsonObject } from "../../services/provider-adapter/provider.ts";
import { bedrockModel } from "../../services/provider-adapter/providers/bedrock/bedrock-model.ts";
import { chatToConverse } from "../../services/provider-adapter/providers/bedrock/request.ts";
import {
  isObject,
  listOf,
  objectOf,
  objectsOf,
  parseObject,
  textOf,
} from "../../services/provider-adapter/translate/json-reading.ts";
import { type Recording, type ReplayResult, readRecordings } from "./recording.ts";

/** Requests of one scenario in OpenAI's format, translated, against what Converse accepted from the same framework. */
export function replayBedrockTwins(folder: string, native: ReadonlyMap<string, Recording>): ReplayResult {
  const failures: string[] = [];
  let ran = 0;
  const file = `${folder}/twins.jsonl`;
  const scenarios = existsSync(file) ? readFileSync(file, "utf8").split("\n").map(parseObject) : [];
  const others = new Map<string, Map<string, Recording>>();
  for (const scenario of scenarios) {
    const accepted = objectsOf(scenario?.native_format).filter(({ provider }) => provider === "bedrock");
    for (const twin of objectsOf(scenario?.openai_format)) {
      const provider = textOf(twin.provider);
      const known = others.get(provider) ?? new Map(readRecordings(folder, provider).map((own) => [own.id, own]));
      others.set(provider, known);
      for (const [turn, id] of listOf(twin.ids).entries()) {
        const ours = parseObject(textOf(known.get(textOf(id))?.request.body));
        const expected = accepted
          .map(({ ids }) => native.get(textOf(listOf(ids)[turn])))
          .filter((recording) => recording !== undefined && isObject(parseObject(textOf(recording.request.body))));
        if (ours === undefined || expected.length === 0 || !Array.isArray(ours.messages)) continue;
        ran += 1;
        const differences = expected.map((recording) => recording && compareTwins(ours, recording));
        if (differences.includes("")) continue;
        failures.push(`${textOf(scenario?.scenario)} ${provider} ${textOf(id)}: ${differences[0]}`);
      }
    }
  }
  return { name: "twin request", ran, failures };
}

function compareTwins(ours: JsonObject, recording: Recording): string {
  const settings = { model: recording.model, stream: false, defaultParams: {}, outputTokenCap: undefined };
  try {
    const model = bedrockModel(recording.model);
    const { body } = chatToConverse(ours, model, { ...settings, dropParams: true, allowedParams: [] });
    deepStrictEqual(outline(body), outline(objectOf(parseObject(textOf(recording.request.body)))));
    return "";
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** What two frameworks' requests for one scenario have in common; of what two models wrote, only which tools they called. */
function outline(body: JsonObject): JsonObject {
  const config = objectOf(body.toolConfig);
  return {
    system: textsOf(objectsOf(body.system)),
    messages: objectsOf(body.messages)
      .map(({ role, content }) => ({ role: textOf(role), content: objectsOf(content).flatMap(outlineBlock) }))
      .map((message) =>
        message.role === "assistant" ? { ...message, content: message.content.filter(isCall) } : message,
      ),
    tools: objectsOf(config.tools)
      .map(({ toolSpec }) => textOf(objectOf(toolSpec).name))
      .filter((name) => name !== ""),
    choice: Object.keys(objectOf(config.toolChoice))[0] ?? "auto",
  };
}

const isCall = (outlined: string) => outlined.startsWith("toolUse ");

function textsOf(blocks: readonly JsonObject[]): string {
  const texts = blocks.map(({ text }) => textOf(text));
  return texts.join("").trim();
}

function outlineBlock(block: JsonObject): string[] {
  if (typeof block.text === "string") return [`text ${block.text.trim()}`];
  if (isObject(block.toolUse)) return [`toolUse ${textOf(block.toolUse.name)}`];
  if (isObject(block.toolResult)) {
    return objectsOf(block.toolResult.content).map((part) =>
      isObject(part.json) ? `toolResult ${JSON.stringify(part.json)}` : `toolResult ${outlineBlock(part).join()}`,
    );
  }
  const [kind = ""] = Object.keys(block);
  return kind === "cachePoint" ? [] : [`${kind} ${textOf(objectOf(block[kind]).format)}`];
}
