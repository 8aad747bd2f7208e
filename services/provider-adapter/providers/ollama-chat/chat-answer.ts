import { create } from "@bufbuild/protobuf";
import { type Usage, UsageSchema } from "#gen/sluice/inference/v1/usage_pb.ts";
import type { JsonObject } from "../../provider.ts";
import { countOf, objectOf, textOf } from "../../translate/json-reading.ts";

/** OpenAI's word for how an answer ended. */
export function finishReasonOf(doneReason: string, called: boolean): string {
  if (doneReason === "length") return "length";
  return called ? "tool_calls" : "stop";
}

/** One tool call in OpenAI's form. Older servers give no id: it is made of the answer's id and the call's place. */
export function chatToolCall(call: JsonObject, answerId: string, index: number): JsonObject {
  const { name, arguments: args } = objectOf(call.function);
  const id = textOf(call.id) || `call_${answerId}_${index}`;
  const text = typeof args === "string" ? args : JSON.stringify(args ?? {});
  return { id, type: "function", function: { name: textOf(name), arguments: text } };
}

/** Undefined where the answer, or the last line of a stream, counts nothing. */
export function readUsage(answer: JsonObject): Usage | undefined {
  const input = countOf(answer.prompt_eval_count);
  const output = countOf(answer.eval_count);
  if (input === undefined && output === undefined) return undefined;
  return create(UsageSchema, { inputTokens: BigInt(input ?? 0), outputTokens: BigInt(output ?? 0) });
}

/** The usage for a chat client. */
export function chatUsage(answer: JsonObject): JsonObject {
  const prompt = countOf(answer.prompt_eval_count) ?? 0;
  const completion = countOf(answer.eval_count) ?? 0;
  return { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion };
}
