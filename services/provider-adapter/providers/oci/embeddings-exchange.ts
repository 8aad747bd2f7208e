import type { Exchange, JsonObject, ProviderCall } from "../../provider.ts";
import { countOf, isObject, listOf, objectOf, textOf } from "../../translate/json-reading.ts";
import { createTextEmbeddings, readEmbeddingsRequest } from "../text-embeddings.ts";
import { providerId, upstreamRequest } from "./upstream-request.ts";

/** An embeddings call, https://docs.oracle.com/en-us/iaas/api/#/en/generative-ai-inference/20231130/EmbedTextResult/EmbedText. */
export function createEmbeddingsExchange(call: ProviderCall): Exchange {
  const asked = readEmbeddingsRequest(call, providerId, "outputDimensions");
  const { input_type: inputType, ...params } = asked.params;
  const body: JsonObject = { inputs: [...asked.texts], ...params };
  if (inputType !== undefined) body.inputType = textOf(inputType).toUpperCase();
  const request = upstreamRequest(call, "embedText", body);
  return createTextEmbeddings(call, providerId, asked, request, (answer) => {
    if (!isObject(answer) || !Array.isArray(answer.embeddings)) return undefined;
    const tokens = countOf(objectOf(answer.usage).totalTokens);
    const vectors = answer.embeddings.map(listOf);
    return tokens === undefined ? { vectors } : { vectors, tokens };
  });
}
