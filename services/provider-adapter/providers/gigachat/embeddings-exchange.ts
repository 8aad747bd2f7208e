import type { Exchange, ProviderCall } from "../../provider.ts";
import { countOf, isObject, objectOf, objectsOf } from "../../translate/json-reading.ts";
import { createTextEmbeddings, readEmbeddingsRequest, vectorsIn } from "../text-embeddings.ts";
import { providerId, upstreamRequest } from "./upstream-request.ts";

/** An embeddings call, https://developers.sber.ru/docs/ru/gigachat/api/reference/rest/post-embeddings. */
export function createEmbeddingsExchange(call: ProviderCall): Exchange {
  const asked = readEmbeddingsRequest(call, providerId, "");
  const body = { model: call.model, input: [...asked.texts], ...asked.params };
  return createTextEmbeddings(call, providerId, asked, upstreamRequest(call, "/embeddings", body), (answer) => {
    if (!isObject(answer) || !Array.isArray(answer.data)) return undefined;
    // Every vector counts its own tokens.
    const counts = objectsOf(answer.data).map(({ usage }) => countOf(objectOf(usage).prompt_tokens) ?? 0);
    return { vectors: vectorsIn(answer.data, "embedding"), tokens: counts.reduce((sum, count) => sum + count, 0) };
  });
}
