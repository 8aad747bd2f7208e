import type { Exchange, JsonObject, ProviderCall } from "../../provider.ts";
import { countOf, isObject, objectOf } from "../../translate/json-reading.ts";
import { createTextEmbeddings, readEmbeddingsRequest, vectorsIn } from "../text-embeddings.ts";
import { providerId, upstreamRequest } from "./upstream-request.ts";

/** An embeddings call over the orchestration service, https://api.sap.com/api/ORCHESTRATION_API. */
export function createEmbeddingsExchange(call: ProviderCall): Exchange {
  const asked = readEmbeddingsRequest(call, providerId, "dimensions");
  const { input_type: type, ...params } = asked.params;
  const [name = "", version = "latest"] = call.model.split("@");
  const input: JsonObject = { text: [...asked.texts] };
  if (type !== undefined) input.type = type;
  const body = { config: { modules: { embeddings: { model: { name, version, params } } } }, input };
  return createTextEmbeddings(call, providerId, asked, upstreamRequest(call, "/v2/embeddings", body), (answer) => {
    const result = isObject(answer) ? objectOf(answer.final_result) : {};
    if (!Array.isArray(result.data)) return undefined;
    const tokens = countOf(objectOf(result.usage).prompt_tokens);
    const vectors = vectorsIn(result.data, "embedding");
    return tokens === undefined ? { vectors } : { vectors, tokens };
  });
}
