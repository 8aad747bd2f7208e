import type { JsonObject } from "../provider.ts";
import { numberOf, objectOf, objectsOf, parseObject, textOf } from "../translate/json-reading.ts";

/** What a client reads from a chat completion, whole or streamed. */
export interface ReadChat {
  readonly text: string;
  readonly reasoning: string;
  readonly calls: readonly { readonly id: string; readonly name: string; readonly input: JsonObject | undefined }[];
  /** One for each finish that was told. */
  readonly finishes: readonly string[];
  readonly usage: JsonObject;
}

/** Reads the first choice of a whole completion. */
export function readCompletion(text: string): ReadChat {
  const body = objectOf(parseObject(text));
  const choices = objectsOf(body.choices);
  const message = objectOf(choices[0]?.message);
  return {
    text: textOf(message.content),
    reasoning: textOf(message.reasoning_content),
    calls: objectsOf(message.tool_calls).map((call) => readCall(call, textOf(objectOf(call.function).arguments))),
    finishes: choices.map(({ finish_reason }) => textOf(finish_reason)),
    usage: objectOf(body.usage),
  };
}

function readCall(call: JsonObject, input: string): ReadChat["calls"][number] {
  return { id: textOf(call.id), name: textOf(objectOf(call.function).name), input: parseObject(input) };
}

/** Reads a stream, whose last event has to be `[DONE]`. Throws where the indexes of its tool calls leave a gap. */
export function readChunks(text: string): ReadChat {
  if (!text.endsWith("data: [DONE]\n\n")) throw new Error(`the stream is not closed: ${text.slice(-200)}`);
  const chunks = text
    .split("\n\n")
    .map((event) => parseObject(event.replace(/^data: /, "")))
    .filter((chunk) => chunk !== undefined);
  const choices = chunks.flatMap((chunk) => objectsOf(chunk.choices));
  const deltas = choices.map(({ delta }) => objectOf(delta));
  const calls: { head: JsonObject; input: string }[] = [];
  for (const call of deltas.flatMap((delta) => objectsOf(delta.tool_calls))) {
    const index = numberOf(call.index);
    if (index > calls.length) throw new Error(`the tool call ${index} follows ${calls.length} others`);
    calls[index] ??= { head: call, input: "" };
    calls[index].input += textOf(objectOf(call.function).arguments);
  }
  return {
    text: deltas.map(({ content }) => textOf(content)).join(""),
    reasoning: deltas.map(({ reasoning_content }) => textOf(reasoning_content)).join(""),
    calls: calls.map(({ head, input }) => readCall(head, input)),
    finishes: choices.map(({ finish_reason }) => textOf(finish_reason)).filter((reason) => reason !== ""),
    usage: objectOf(chunks.findLast(({ usage }) => Object.keys(objectOf(usage)).length > 0)?.usage),
  };
}
