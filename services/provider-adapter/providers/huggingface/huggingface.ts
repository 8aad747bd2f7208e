import { spellModel } from "#catalog/model-name.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange, Provider, ProviderCall } from "../../provider.ts";
import { createOpenAiCompatibleProvider } from "../openai-compatible/provider.ts";
import { createEmbeddingsExchange } from "./embeddings-exchange.ts";
import { huggingFaceRow } from "./huggingface-row.ts";
import { createRerankExchange } from "./rerank-exchange.ts";
import { providerId } from "./upstream-request.ts";

const chats = createOpenAiCompatibleProvider(huggingFaceRow);

/** LiteLLM's `<provider>/<owner>/<model>`; the router wants the provider behind the model. */
const spellings = [{ match: /^([^/]+)\/([^/]+\/[^/:]+)$/, to: "$2:$1" }];

/**
 * Hugging Face: chats in OpenAI's format, at the router or at an endpoint of one's own; embeddings and ranks in its own.
 * https://huggingface.co/docs/inference-providers/index
 */
export const huggingface: Provider = {
  id: providerId,
  begin,
  classifyError: chats.classifyError,
};

function begin(call: ProviderCall): Exchange {
  if (call.operation === Operation.EMBEDDINGS) return createEmbeddingsExchange(call);
  if (call.operation === Operation.RERANK) return createRerankExchange(call);
  return chats.begin({ ...call, model: spellModel(spellings, call.model) });
}
