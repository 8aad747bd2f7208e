import { upstreamError } from "#chassis/errors.ts";
import {
  findMember,
  type JsonMember,
  JsonObjectProblem,
  memberText,
  type ScannedObject,
  scanObject,
} from "#chassis/json-members.ts";
import { UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Usage } from "#gen/sluice/inference/v1/usage_pb.ts";
import type { JsonObject, JsonValue, Outcome } from "../../provider.ts";
import { decodeText, listOf, objectOf, parseObject, textOf } from "../../translate/json-reading.ts";
import { errorInAnswer } from "./errors.ts";
import { estimatedUsage, readUsage } from "./usage.ts";

/** The answer is not what the protocol says. Another deployment may do better. */
export function protocolError(provider: string, what: string): Error {
  return upstreamError({
    kind: UpstreamErrorKind.BAD_GATEWAY,
    httpStatus: 502,
    provider,
    retryable: true,
    message: `${provider}: ${what}`,
  });
}

/** Reads what metering needs of a whole answer, without parsing the rest of it. Throws where it is no answer. */
export function readAnswer(provider: string, operation: Operation, body: Uint8Array): Outcome {
  if (operation === Operation.RESPONSES) return readResponsesAnswer(provider, body);
  const answer = scanned(provider, body);
  const read = (name: string) => memberValue(provider, answer, name);
  const name = operation === Operation.EMBEDDINGS ? "data" : "choices";
  const main = findMember(answer.members, name);
  if (main === undefined) throw notAnAnswer(provider, name, read("error"));
  if (name === "choices" && emptyList.test(answer.text.slice(main.valueStart, main.valueStart + 16))) {
    throw protocolError(provider, "the answer has no choices");
  }
  return {
    usage:
      readUsage(read("usage")) ??
      estimatedUsage(operation === Operation.EMBEDDINGS ? 0 : (main.valueEnd - main.valueStart) / 4),
    finishReason: lastFinishReason(answer.text, main),
    responseModel: textOf(read("model")),
    responseId: textOf(read("id")),
  };
}

function readResponsesAnswer(provider: string, body: Uint8Array): Outcome {
  const response = parseObject(decodeText(body));
  if (response === undefined) throw protocolError(provider, "the answer is no JSON object");
  if (!Array.isArray(response.output)) throw notAnAnswer(provider, "output", response.error);
  return readResponseObject(response, body.length / 4);
}

/**
 * Reads what metering needs of a `response` object, a whole answer or that of `response.completed` and its kin. Where it
 * has no usage, the output is estimated at the tokens given.
 */
export function readResponseObject(response: JsonObject, estimate: number): Outcome {
  return {
    usage: withToolCalls(readUsage(response.usage) ?? estimatedUsage(estimate), response.output),
    finishReason: responsesFinish(response),
    responseModel: textOf(response.model),
    responseId: textOf(response.id),
  };
}

function scanned(provider: string, body: Uint8Array): ScannedObject {
  try {
    return scanObject(body);
  } catch (error) {
    if (error instanceof JsonObjectProblem) throw protocolError(provider, "the answer is no JSON object");
    throw error;
  }
}

function memberValue(provider: string, answer: ScannedObject, name: string): JsonValue | undefined {
  const member = findMember(answer.members, name);
  if (member === undefined) return undefined;
  try {
    return JSON.parse(memberText(answer, member));
  } catch {
    throw protocolError(provider, "the answer is malformed JSON");
  }
}

function notAnAnswer(provider: string, missing: string, error: JsonValue | undefined): Error {
  if (error !== undefined && error !== null) return upstreamError(errorInAnswer(provider, { error }));
  return protocolError(provider, `the answer has no "${missing}"`);
}

const emptyList = /^\[\s*\]/;
const finishKey = '"finish_reason"';

/** The last `finish_reason` in a span. In a string its quotes would be escaped, so what is found is a member. */
function lastFinishReason(text: string, span: JsonMember): string {
  const at = text.lastIndexOf(finishKey, span.valueEnd - finishKey.length);
  if (at < span.valueStart) return "";
  const from = at + finishKey.length;
  return /^\s*:\s*"([a-z_]+)"/.exec(text.slice(from, Math.min(from + 64, span.valueEnd)))?.[1] ?? "";
}

/** OpenAI's chat words for how a response ended. */
function responsesFinish(response: JsonObject): string {
  if (response.status === "incomplete") {
    return objectOf(response.incomplete_details).reason === "content_filter" ? "content_filter" : "length";
  }
  if (response.status !== "completed") return "";
  return listOf(response.output).some((item) => objectOf(item).type === "function_call") ? "tool_calls" : "stop";
}

/** Server-side tools are billed by the call and stand in the output, not in the usage. */
const billedCalls = new Set(["web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call"]);

function withToolCalls(usage: Usage, output: JsonValue | undefined): Usage {
  const calls = listOf(output).filter((item) => billedCalls.has(textOf(objectOf(item).type))).length;
  return calls === 0 ? usage : { ...usage, toolCalls: usage.toolCalls + BigInt(calls) };
}
