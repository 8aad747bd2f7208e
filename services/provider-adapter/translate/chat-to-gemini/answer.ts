import type { Usage } from "#gen/sluice/inference/v1/usage_pb.ts";
import type { JsonObject } from "../../provider.ts";
import { objectOf, objectsOf, textOf } from "../json-reading.ts";
import { type GeminiAnswerFrame, GeminiCandidate } from "./answer-candidate.ts";
import { usageMetadata } from "./answer-usage.ts";

/** Turns a chat completion into a GenerateContentResponse; undefined where a call in it has no name. */
export function chatCompletionToGemini(
  completion: JsonObject,
  usage: Usage,
  frame: GeminiAnswerFrame,
): JsonObject | undefined {
  const candidates = objectsOf(completion.choices).map((choice, at) => {
    const candidate = new GeminiCandidate(typeof choice.index === "number" ? choice.index : at, frame);
    return candidate.end(candidate.push(choice, objectOf(choice.message)));
  });
  const whole = candidates.filter((candidate) => candidate !== undefined);
  if (whole.length < candidates.length) return undefined;
  return {
    candidates: whole,
    usageMetadata: usageMetadata(usage),
    modelVersion: textOf(completion.model),
    responseId: textOf(completion.id),
  };
}
