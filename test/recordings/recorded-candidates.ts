import type { JsonObject, JsonValue } from "../../services/provider-adapter/provider.ts";
import {
  isObject,
  numberOf,
  objectOf,
  objectsOf,
  parseObject,
  textOf,
} from "../../services/provider-adapter/translate/json-reading.ts";
import type { Recording } from "./recording.ts";
import { readSse } from "./sse-reading.ts";

/** What the first candidate of an answer of Gemini says, streamed or not, read by code that the gateway has no part in. */
export interface RecordedCandidate {
  readonly text: string;
  readonly thoughts: string;
  readonly calls: readonly { name: string; input: JsonValue }[];
  /** The parts as they came. */
  readonly parts: readonly JsonObject[];
  /** In OpenAI's words. */
  readonly finishReason: string;
  readonly input: number;
  readonly cached: number;
  readonly output: number;
  readonly thoughtTokens: number;
}

/** The GenerateContentResponses of an answer: one, or those of its stream, whose framing is either SSE or a JSON array. */
export function readResponses({ response }: Recording): JsonObject[] {
  const text = textOf(response.body);
  // One recorder left the blank lines between events out; Gemini's events are of one line each.
  if (response.kind === "sse")
    return readSse(text.replace(/\r?\n(?=data:)/g, "\n\n")).map(({ data }) => objectOf(data));
  if (response.kind !== "json-array-stream") return [objectOf(parseObject(text))];
  const list: JsonValue = JSON.parse(text);
  return objectsOf(list);
}

/** Puts responses together. A recorder told some finish reasons by number: 1 is STOP. */
export function readCandidate(responses: readonly JsonObject[]): RecordedCandidate {
  const first = responses.flatMap(({ candidates }) =>
    objectsOf(candidates).filter(({ index }) => numberOf(index) === 0),
  );
  const parts = first.flatMap(({ content }) => objectsOf(objectOf(content).parts));
  const usage: JsonObject = Object.assign({}, ...responses.map(({ usageMetadata }) => objectOf(usageMetadata)));
  const texts = (thought: boolean) =>
    parts
      .filter((part) => (part.thought === true) === thought)
      .map((part) => textOf(part.text))
      .join("");
  const calls = parts.filter((part) => isObject(part.functionCall));
  const reason = first.map(({ finishReason }) => finishReason).findLast((own) => own !== undefined);
  const thoughtTokens = numberOf(usage.thoughtsTokenCount);
  return {
    text: texts(false),
    thoughts: texts(true),
    calls: calls.map((part) => {
      const { name, args } = objectOf(part.functionCall);
      return { name: textOf(name), input: args ?? {} };
    }),
    parts,
    finishReason: reason === "MAX_TOKENS" ? "length" : calls.length > 0 ? "tool_calls" : "stop",
    input: numberOf(usage.promptTokenCount) + numberOf(usage.toolUsePromptTokenCount),
    cached: numberOf(usage.cachedContentTokenCount),
    output: numberOf(usage.candidatesTokenCount) + thoughtTokens,
    thoughtTokens,
  };
}

/** Whether a call's arguments came in pieces, which this file does not put together. */
export function hasPartialCalls(responses: readonly JsonObject[]): boolean {
  return JSON.stringify(responses).includes('"partialArgs"');
}
