import type { JsonObject, JsonValue } from "../../services/provider-adapter/provider.ts";
import {
  listOf,
  objectOf,
  objectsOf,
  parseObject,
  textOf,
} from "../../services/provider-adapter/translate/json-reading.ts";
import { framePayloads } from "./recorded-converse.ts";
import type { Recording } from "./recording.ts";

/** What an answer of Bedrock's Invoke says, whatever the model's format, read by code that the gateway has no part in. */
export interface RecordedInvoke {
  /** The answer, or the chunks of a stream, as the model wrote them. */
  readonly events: readonly JsonObject[];
  readonly text: string;
  readonly tools: readonly { id: string; name: string; input: JsonValue }[];
  readonly outputTokens: number;
}

const reasoning = /<reasoning>[\s\S]*?<\/reasoning>/g;

export function readInvoke({ response }: Recording, bytes: Buffer): RecordedInvoke {
  const streamed = response.kind === "aws-eventstream";
  const events = streamed
    ? framePayloads(bytes).map((frame) => objectOf(parseObject(Buffer.from(textOf(frame.bytes), "base64").toString())))
    : [objectOf(parseObject(bytes.toString()))];
  const told = events.map(textOfEvent).join("");
  return {
    events,
    text: told.replace(reasoning, ""),
    tools: streamed ? streamedTools(events) : events.flatMap(wholeTools),
    outputTokens: Number(lastCount(events) ?? objectOf(response.headers)["x-amzn-bedrock-output-token-count"]),
  };
}

/** The text of an answer or of a chunk, under the name that its format has for it. */
function textOfEvent(event: JsonObject): string {
  const delta = objectOf(event.delta);
  const choice = objectOf(listOf(event.choices)[0]);
  const nova = objectOf(objectOf(event.contentBlockDelta).delta);
  const blocks = [...objectsOf(event.content), ...objectsOf(objectOf(objectOf(event.output).message).content)];
  const candidates = [
    ...blocks.map(({ text }) => text),
    delta.text,
    nova.text,
    objectOf(choice.message).content,
    objectOf(choice.delta).content,
    event.outputText,
    event.completion,
    objectOf(listOf(event.outputs)[0]).text,
  ];
  return candidates.map(textOf).join("");
}

function wholeTools(answer: JsonObject): RecordedInvoke["tools"] {
  const claude = objectsOf(answer.content).filter(({ type }) => type === "tool_use");
  const nova = objectsOf(objectOf(objectOf(answer.output).message).content).flatMap(({ toolUse }) =>
    objectsOf([toolUse ?? null]),
  );
  const openAi = objectsOf(objectOf(objectOf(listOf(answer.choices)[0]).message).tool_calls);
  return [
    ...claude.map(({ id, name, input }) => ({ id: textOf(id), name: textOf(name), input: input ?? {} })),
    ...nova.map(({ toolUseId, name, input }) => ({ id: textOf(toolUseId), name: textOf(name), input: input ?? {} })),
    ...openAi.map(({ id, function: called }) => {
      const { name, arguments: text } = objectOf(called);
      return { id: textOf(id), name: textOf(name), input: JSON.parse(textOf(text)) };
    }),
  ];
}

/** Calls begin with a block's start, and their input comes in pieces. */
function streamedTools(events: readonly JsonObject[]): RecordedInvoke["tools"] {
  const tools: { id: string; name: string; input: JsonValue; text: string }[] = [];
  for (const event of events) {
    const claude = objectOf(event.content_block);
    const nova = objectOf(objectOf(objectOf(event.contentBlockStart).start).toolUse);
    const id = claude.type === "tool_use" ? claude.id : nova.toolUseId;
    if (typeof id === "string") tools.push({ id, name: textOf(claude.name ?? nova.name), input: {}, text: "" });
    const novaInput = objectOf(objectOf(objectOf(event.contentBlockDelta).delta).toolUse).input;
    const last = tools.at(-1);
    if (last !== undefined) last.text += textOf(objectOf(event.delta).partial_json) + textOf(novaInput);
  }
  return tools.map(({ id, name, input, text }) => ({ id, name, input: text === "" ? input : JSON.parse(text) }));
}

/** What the model counted itself; where it did not, what Bedrock counted, which leaves out some of Claude's tool calls. */
function lastCount(events: readonly JsonObject[]): JsonValue | undefined {
  const own = events.map(({ usage }) => objectOf(usage));
  const counts = own.map((usage) => usage.output_tokens ?? usage.outputTokens ?? usage.completion_tokens);
  const metrics = objectOf(events.at(-1)?.["amazon-bedrock-invocationMetrics"]);
  return counts.findLast((count) => count !== undefined) ?? metrics.outputTokenCount;
}
