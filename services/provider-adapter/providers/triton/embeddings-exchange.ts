import type { Exchange, JsonValue, ProviderCall } from "../../provider.ts";
import { listOf, numberOf, objectOf, objectsOf } from "../../translate/json-reading.ts";
import { createTextEmbeddings, readEmbeddingsRequest, type Vectors } from "../text-embeddings.ts";
import { providerId, upstreamRequest } from "./upstream-request.ts";

/** An embeddings call as tensors: texts in one of the name `input_text`, a row for each of them out. */
export function createEmbeddingsExchange(call: ProviderCall): Exchange {
  const asked = readEmbeddingsRequest(call, providerId, "");
  const { texts } = asked;
  const input = { name: "input_text", shape: [texts.length], datatype: "BYTES", data: [...texts] };
  const request = upstreamRequest(call, "infer", { inputs: [input] });
  return createTextEmbeddings(call, providerId, asked, request, readRows);
}

/** The numbers of all rows lie in one list; the last number of the shape is the length of a row. */
function readRows(answer: JsonValue): Vectors | undefined {
  const [output] = objectsOf(objectOf(answer).outputs);
  const numbers = listOf(output?.data);
  const length = numberOf(listOf(output?.shape).at(-1));
  if (length <= 0 || numbers.length % length !== 0) return undefined;
  const rows = Array.from({ length: numbers.length / length }, (_, row) =>
    numbers.slice(row * length, (row + 1) * length),
  );
  return { vectors: rows };
}
