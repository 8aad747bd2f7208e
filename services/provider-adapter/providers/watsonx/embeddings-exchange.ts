import type { Exchange, JsonValue, ProviderCall } from "../../provider.ts";
import { countOf, objectOf } from "../../translate/json-reading.ts";
import { createTextEmbeddings, readEmbeddingsRequest, type Vectors, vectorsIn } from "../text-embeddings.ts";
import { modelMembers, upstreamRequest } from "./upstream-request.ts";

/** An embeddings call: https://cloud.ibm.com/apidocs/watsonx-ai#text-embeddings */
export function createEmbeddingsExchange(call: ProviderCall, provider: string): Exchange {
  const asked = readEmbeddingsRequest(call, provider, "");
  const { texts, params } = asked;
  const body = { ...modelMembers(call, provider), inputs: [...texts], parameters: params };
  const request = upstreamRequest(call, provider, "text/embeddings", body);
  return createTextEmbeddings(call, provider, asked, request, readVectors);
}

function readVectors(value: JsonValue): Vectors {
  const answer = objectOf(value);
  const tokens = countOf(answer.input_token_count);
  return { vectors: vectorsIn(answer.results, "embedding"), ...(tokens === undefined ? {} : { tokens }) };
}
