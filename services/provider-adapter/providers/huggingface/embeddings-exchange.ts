import type { Exchange, JsonValue, ProviderCall } from "../../provider.ts";
import { listOf } from "../../translate/json-reading.ts";
import { createTextEmbeddings, readEmbeddingsRequest, type Vectors } from "../text-embeddings.ts";
import { providerId, upstreamRequest } from "./upstream-request.ts";

/** An embeddings call: https://huggingface.co/docs/inference-providers/tasks/feature-extraction */
export function createEmbeddingsExchange(call: ProviderCall): Exchange {
  const asked = readEmbeddingsRequest(call, providerId, "dimensions");
  const request = upstreamRequest(call, "feature-extraction", { ...asked.params, inputs: [...asked.texts] });
  return createTextEmbeddings(call, providerId, asked, request, readVectors);
}

/**
 * A list of vectors, or one vector alone. Of a model that does not join its tokens, a list of vectors for each text, of
 * which the first stands for it.
 */
function readVectors(answer: JsonValue): Vectors | undefined {
  if (!Array.isArray(answer)) return undefined;
  if (typeof answer[0] === "number") return { vectors: [answer] };
  return { vectors: answer.map((vector) => listOf(Array.isArray(listOf(vector)[0]) ? listOf(vector)[0] : vector)) };
}
