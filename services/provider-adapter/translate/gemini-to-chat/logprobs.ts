import type { JsonObject } from "../../provider.ts";
import { numberOf, objectsOf, textOf } from "../json-reading.ts";

/** The entries of OpenAI's `logprobs.content` of a `logprobsResult`, https://ai.google.dev/api/generate-content#LogprobsResult */
export function chatLogprobs(result: JsonObject): JsonObject[] {
  const top = objectsOf(result.topCandidates);
  return objectsOf(result.chosenCandidates).map((chosen, at) => ({
    ...logprob(chosen),
    top_logprobs: objectsOf(top[at]?.candidates).map(logprob),
  }));
}

function logprob(candidate: JsonObject): JsonObject {
  const token = textOf(candidate.token);
  return { token, logprob: numberOf(candidate.logProbability), bytes: [...Buffer.from(token)] };
}
