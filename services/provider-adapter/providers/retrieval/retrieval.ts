import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange, Provider, ProviderCall } from "../../provider.ts";
import { classifyError } from "../openai-compatible/errors.ts";
import { createEmbeddingsExchange } from "./embeddings-exchange.ts";
import { createRerankExchange } from "./rerank-exchange.ts";
import { jinaRow, type RetrievalRow, voyageRow } from "./retrieval-row.ts";

/** The providers that have embeddings and ranks and nothing else. */
export const voyage = retrievalProvider(voyageRow);
export const jina = retrievalProvider(jinaRow);

function retrievalProvider(row: RetrievalRow): Provider {
  return {
    id: row.id,
    begin: (call) => begin(row, call),
    classifyError: (status, headers, body) => classifyError(row.id, status, headers, body),
  };
}

function begin(row: RetrievalRow, call: ProviderCall): Exchange {
  if (call.operation === Operation.EMBEDDINGS) return createEmbeddingsExchange(row, call);
  if (call.operation === Operation.RERANK) return createRerankExchange(row, call);
  throw gatewayError(Reason.OPERATION_UNSUPPORTED, `${row.id} offers embeddings and rerank, not this operation.`, {
    param: "model",
  });
}
