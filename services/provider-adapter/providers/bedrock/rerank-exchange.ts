import { create } from "@bufbuild/protobuf";
import { gatewayError, upstreamError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { UsageSchema } from "#gen/sluice/inference/v1/usage_pb.ts";
import type { Exchange, JsonObject, JsonValue, ProviderCall } from "../../provider.ts";
import { defined } from "../../translate/chat-over-text/request.ts";
import {
  decodeText,
  isObject,
  listOf,
  numberOf,
  objectsOf,
  parseObject,
  textOf,
  without,
} from "../../translate/json-reading.ts";
import { refuseOrDrop } from "../../translate/unsupported-parameter.ts";
import { bedrockModel } from "./bedrock-model.ts";
import { brokenAnswer } from "./classify-error.ts";
import { agentRequest, bedrockRegion } from "./upstream-request.ts";

/** Fields of Cohere's dialect that change the ranks and that Bedrock has no word for. */
const unsupported = ["rank_fields", "max_chunks_per_doc"] as const;
/** The most documents of one request. */
const maxDocuments = 1000;
/** Documents that one billed search covers. https://aws.amazon.com/bedrock/pricing/ */
const documentsPerSearch = 100;

/**
 * A rerank call in Cohere's shape, for a model of Amazon's or Cohere's:
 * https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent-runtime_Rerank.html
 */
export function createRerankExchange(call: ProviderCall): Exchange {
  const client = parseObject(decodeText(call.body));
  if (client === undefined) throw gatewayError(Reason.INVALID_REQUEST, "The body has to be a JSON object.");
  const asked: JsonObject = { ...call.defaultParams, ...client };
  const documents = listOf(asked.documents);
  if (documents.length === 0 || documents.length > maxDocuments) {
    throw gatewayError(Reason.INVALID_REQUEST, `'documents' has to hold 1 to ${maxDocuments} documents.`, {
      param: "documents",
    });
  }
  for (const name of unsupported) {
    if (asked[name] !== undefined && asked[name] !== null) {
      refuseOrDrop(call, name, `Bedrock does not support the parameter '${name}'.`);
    }
  }
  const model = bedrockModel(call.model);
  const region = bedrockRegion(call, model);
  const body = rerankBody(asked, documents, model.id, region);
  const searches = Math.ceil(documents.length / documentsPerSearch);
  return {
    request: agentRequest(call, region, "/rerank", Buffer.from(JSON.stringify(body))),
    decodeBody(bytes) {
      const answer = parseObject(decodeText(bytes));
      if (answer === undefined || !Array.isArray(answer.results)) {
        throw upstreamError(brokenAnswer("Bedrock's answer has no results"));
      }
      const results = objectsOf(answer.results).map(({ index, relevanceScore }) => {
        const rank = { index: numberOf(index), relevance_score: numberOf(relevanceScore) };
        if (asked.return_documents !== true) return rank;
        const document = documents[rank.index] ?? "";
        return { ...rank, document: isObject(document) ? document : { text: textOf(document) } };
      });
      const meta = { billed_units: { search_units: searches } };
      return Buffer.from(JSON.stringify({ id: call.callId ?? "", results, meta }));
    },
    decodeEvents: () => [],
    finish: () => {
      throw upstreamError(brokenAnswer("Bedrock answered a call for ranks with a stream"));
    },
    outcome: () => ({
      usage: create(UsageSchema, { toolCalls: BigInt(searches) }),
      finishReason: "",
      responseModel: model.id,
      responseId: "",
    }),
  };
}

function rerankBody(asked: JsonObject, documents: readonly JsonValue[], id: string, region: string): JsonObject {
  const partition = region.startsWith("cn-") ? "aws-cn" : region.startsWith("us-gov-") ? "aws-us-gov" : "aws";
  const modelArn = id.startsWith("arn:") ? id : `arn:${partition}:bedrock:${region}::foundation-model/${id}`;
  const fields = without(asked, "query", "documents", "model", "top_n", "return_documents", "stream", ...unsupported);
  const modelConfiguration: JsonObject = { modelArn };
  if (Object.keys(fields).length > 0) modelConfiguration.additionalModelRequestFields = fields;
  return {
    queries: [{ type: "TEXT", textQuery: { text: textOf(asked.query) } }],
    rerankingConfiguration: {
      type: "BEDROCK_RERANKING_MODEL",
      bedrockRerankingConfiguration: {
        modelConfiguration,
        ...defined({ numberOfResults: asked.top_n ?? documents.length }),
      },
    },
    sources: documents.map((document) => ({ type: "INLINE", inlineDocumentSource: sourceOf(document) })),
  };
}

function sourceOf(document: JsonValue): JsonObject {
  if (!isObject(document)) return { type: "TEXT", textDocument: { text: textOf(document) } };
  const isText = typeof document.text === "string" && Object.keys(document).length === 1;
  if (isText) return { type: "TEXT", textDocument: { text: textOf(document.text) } };
  return { type: "JSON", jsonDocument: document };
}
