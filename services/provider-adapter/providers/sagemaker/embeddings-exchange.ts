import type { Exchange, JsonObject, JsonValue, ProviderCall } from "../../provider.ts";
import { listOf, objectsOf } from "../../translate/json-reading.ts";
import { refuseOrDrop } from "../../translate/unsupported-parameter.ts";
import { createAwsEmbeddings, readEmbeddings } from "../aws-embeddings.ts";
import type { AwsService } from "../aws-errors.ts";
import { upstreamRequest } from "./upstream-request.ts";

/** More inputs than any call may have: an endpoint gets them all. */
const batch = 10_000;

/**
 * An embeddings call of an endpoint that was made from JumpStart, whose servers take `text_inputs`; Voyage's take `input`.
 * https://sagemaker.readthedocs.io/en/stable/doc_utils/pretrainedmodels.html
 */
export function createEmbeddingsExchange(call: ProviderCall, service: AwsService): Exchange {
  const asked = readEmbeddings(call, service.name);
  const member = /voyage/i.test(call.settings.hf_model_name || call.model) ? "input" : "text_inputs";
  if (asked.dimensions !== undefined) {
    refuseOrDrop(call, "dimensions", "The vectors of an endpoint of SageMaker's have one size.");
  }
  return createAwsEmbeddings(call, service.id, asked, {
    batch,
    request: (inputs) => upstreamRequest(call, Buffer.from(JSON.stringify({ [member]: [...inputs], ...asked.passed }))),
    read: (answer) => ({ vectors: vectorsOf(answer) }),
  });
}

/** `{"embedding": [[…]]}`, or OpenAI's shape. */
function vectorsOf(answer: JsonObject): JsonValue[][] {
  if (Array.isArray(answer.data)) return objectsOf(answer.data).map(({ embedding }) => listOf(embedding));
  return listOf(answer.embedding).map(listOf);
}
