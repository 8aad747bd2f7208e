import { upstreamError } from "#chassis/errors.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { ChatUpstream, JsonObject, ProviderCall, TokenCount } from "../../provider.ts";
import { chatToGeminiRequest } from "../../translate/chat-to-gemini/request.ts";
import { countedRequest } from "../../translate/gemini-over-chat.ts";
import { countOf, decodeText, parseObject, without } from "../../translate/json-reading.ts";
import { messagesAsChat } from "../../translate/messages-over-chat.ts";
import type { GeminiHost } from "./chat-exchange.ts";
import { brokenAnswer } from "./classify-error.ts";
import { parsedBody } from "./generate-content-exchange.ts";

/** What chat completions of Gemini take. */
export const geminiUpstream: ChatUpstream = { outputLimitField: "max_completion_tokens", searchesWeb: true };

/** How a host wants the request whose tokens it counts. */
export type CountBody = (call: ProviderCall, request: JsonObject) => JsonObject;

/** AI Studio counts instructions and tools in this form only. https://ai.google.dev/api/tokens */
export const countWholeRequest: CountBody = ({ model }, request) => ({
  generateContentRequest: { ...request, model: `models/${model.replace(/^models\//, "")}` },
});

/** https://docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/count-tokens */
export const countMembers: CountBody = (_, { contents, systemInstruction, tools, generationConfig }) => ({
  contents: contents ?? [],
  ...(systemInstruction === undefined ? {} : { systemInstruction }),
  ...(tools === undefined ? {} : { tools }),
  ...(generationConfig === undefined ? {} : { generationConfig }),
});

/** Asks a host of Gemini models to count, for a client of any dialect. */
export function createTokenCount(call: ProviderCall, host: GeminiHost, countBody: CountBody): TokenCount {
  const request = without(geminiRequest(call), "model");
  return {
    request: host.request({ ...call, stream: false }, "countTokens", countBody(call, request)),
    read(body) {
      const tokens = countOf(parseObject(decodeText(body))?.totalTokens);
      if (tokens === undefined) throw upstreamError(brokenAnswer(host.id, "answered with something that is no count"));
      return tokens;
    },
  };
}

function geminiRequest(call: ProviderCall): JsonObject {
  if (call.operation === Operation.GENERATE_CONTENT) return countedRequest(parsedBody(call));
  const chat = call.operation === Operation.MESSAGES ? messagesAsChat(call, geminiUpstream) : call;
  return chatToGeminiRequest(parsedBody(chat), chat).body;
}
