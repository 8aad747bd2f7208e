import { create } from "@bufbuild/protobuf";
import { gatewayError, upstreamError } from "#chassis/errors.ts";
import { editMembers, findMember, JsonObjectProblem, scanObject } from "#chassis/json-members.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { type Usage, UsageSchema } from "#gen/sluice/inference/v1/usage_pb.ts";
import type { Exchange, JsonObject, ProviderCall } from "../../provider.ts";
import { countOf, decodeText, objectOf, parseObject, textOf } from "../../translate/json-reading.ts";
import { brokenAnswer, classifyErrorObject } from "./classify-error.ts";
import { modelOf, upstreamRequest } from "./upstream-request.ts";

/** What only the first version of the endpoint takes; documents that are objects are told apart by their first byte. */
const firstVersionOnly = ["return_documents", "rank_fields", "max_chunks_per_doc"] as const;

/**
 * A rerank call passed through, https://docs.cohere.com/reference/rerank: only the model differs, and what the deployment
 * sets where the client does not. A body that needs the endpoint's first version goes there.
 */
export function createRerankExchange(call: ProviderCall): Exchange {
  const { path, body } = rerankBody(call);
  const request = upstreamRequest(call, path, body);
  let answer: JsonObject = {};
  return {
    request,
    decodeBody(bytes) {
      const parsed = parseObject(decodeText(bytes));
      if (parsed === undefined || !Array.isArray(parsed.results)) {
        const isError = typeof parsed?.message === "string";
        throw upstreamError(isError ? classifyErrorObject(parsed) : brokenAnswer("Cohere's answer has no results"));
      }
      answer = parsed;
      return bytes;
    },
    decodeEvents: () => [],
    finish: () => [],
    outcome: () => ({
      usage: searchUsage(answer),
      finishReason: "",
      responseModel: "",
      responseId: textOf(answer.id),
    }),
  };
}

function rerankBody(call: ProviderCall): { readonly path: string; readonly body: Uint8Array } {
  try {
    const scanned = scanObject(call.body);
    const { members } = scanned;
    const defaults = Object.fromEntries(
      Object.entries(call.defaultParams).map(([name, value]) => [name, JSON.stringify(value)]),
    );
    const set = { model: JSON.stringify(modelOf(call)) };
    const body = editMembers(scanned, { set, setIfAbsent: defaults, remove: ["stream"] });
    const documents = findMember(members, "documents");
    const start =
      documents === undefined ? "" : decodeText(call.body.subarray(documents.valueStart, documents.valueEnd));
    const isFirst =
      /^\[\s*\{/.test(start) ||
      firstVersionOnly.some((name) => defaults[name] !== undefined || findMember(members, name) !== undefined);
    return { path: isFirst ? "/v1/rerank" : "/v2/rerank", body };
  } catch (error) {
    if (!(error instanceof JsonObjectProblem)) throw error;
    throw gatewayError(Reason.INVALID_REQUEST, "The body has to be a JSON object.");
  }
}

/** Cohere bills by the search: `search_units`, one at least where it does not say. */
function searchUsage(answer: JsonObject): Usage {
  const billed = objectOf(objectOf(answer.meta).billed_units);
  const units = countOf(billed.search_units);
  return create(UsageSchema, { toolCalls: BigInt(units ?? 1), estimated: units === undefined });
}
