import type { Exchange, JsonValue, ProviderCall, UpstreamRequest } from "../../provider.ts";
import { countOf, listOf, objectOf, objectsOf } from "../../translate/json-reading.ts";
import { createTextEmbeddings, readEmbeddingsRequest, type Vectors } from "../text-embeddings.ts";
import { providerId } from "./snowflake-row.ts";

/** An embeddings call: https://docs.snowflake.com/developer-guide/snowflake-rest-api/reference/cortex-embed */
export function createEmbeddingsExchange(
  call: ProviderCall,
  requestOf: (body: Uint8Array) => UpstreamRequest,
): Exchange {
  const asked = readEmbeddingsRequest(call, providerId, "");
  const body = { ...asked.params, model: call.model, text: [...asked.texts] };
  const request = requestOf(Buffer.from(JSON.stringify(body)));
  return createTextEmbeddings(call, providerId, asked, request, readVectors);
}

/** Each vector lies in a list of its own. */
function readVectors(answer: JsonValue): Vectors | undefined {
  const { data, usage } = objectOf(answer);
  if (!Array.isArray(data)) return undefined;
  const tokens = countOf(objectOf(usage).total_tokens) ?? countOf(objectOf(usage).prompt_tokens);
  const vectors = objectsOf(data).map(({ embedding }) => {
    const [first] = listOf(embedding);
    return listOf(Array.isArray(first) ? first : embedding);
  });
  return { vectors, ...(tokens === undefined ? {} : { tokens }) };
}
