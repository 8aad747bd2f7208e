import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange, Provider, ProviderCall } from "../../provider.ts";
import { createEmbedContentOverEmbeddings } from "../../translate/gemini-over-embeddings.ts";
import { createMessagesOverChat } from "../../translate/messages-over-chat.ts";
import type { ChatProvider } from "../../translate/over-chat.ts";
import { createChatExchange, type GeminiHost } from "./chat-exchange.ts";
import { classifyGoogleError, providerId } from "./classify-error.ts";
import { createEmbedContentExchange } from "./embed-content-exchange.ts";
import { batchEmbedContents, createEmbeddingsExchange, type EmbeddingsDialect } from "./embeddings-exchange.ts";
import { createGenerateContentExchange } from "./generate-content-exchange.ts";
import { type CountBody, countWholeRequest, createTokenCount, geminiUpstream } from "./token-count.ts";
import { upstreamRequest } from "./upstream-request.ts";

/**
 * Google AI Studio's native API, https://ai.google.dev/api: its own dialect passes through, chat completions are translated
 * both ways, messages by way of chat completions, and embeddings.
 */
export const gemini: Provider = createGeminiProvider(
  { id: providerId, request: upstreamRequest },
  () => batchEmbedContents,
  countWholeRequest,
);

/** A provider of Gemini models at a host. `embeddings`: how the host embeds with a model. */
export function createGeminiProvider(
  host: GeminiHost,
  embeddings: (model: string) => EmbeddingsDialect,
  countBody: CountBody,
): Provider {
  const chatProvider: ChatProvider = {
    id: host.id,
    upstream: geminiUpstream,
    begin: (call) => createChatExchange(call, host),
  };
  return {
    id: host.id,
    takesGenerateContent: true,
    // https://ai.google.dev/gemini-api/docs/file-input-methods: what is not encrypted is not fetched.
    needsBytes: (_, { protocol }) => protocol === "http:",
    countTokens: (call) => createTokenCount(call, host, countBody),
    begin: (call) => begin(call, host, chatProvider, embeddings(call.model)),
    classifyError: (status, headers, body) => classifyGoogleError(host.id, status, headers, body),
  };
}

function begin(call: ProviderCall, host: GeminiHost, chat: ChatProvider, embeddings: EmbeddingsDialect): Exchange {
  switch (call.operation) {
    case Operation.CHAT_COMPLETIONS:
      return createChatExchange(call, host);
    case Operation.MESSAGES:
      return createMessagesOverChat(call, chat);
    case Operation.GENERATE_CONTENT:
      return createGenerateContentExchange(call, host);
    case Operation.EMBED_CONTENT:
      return beginEmbedContent(call, host, embeddings);
    case Operation.EMBEDDINGS:
      return createEmbeddingsExchange(call, host, embeddings);
    default:
      throw gatewayError(
        Reason.OPERATION_UNSUPPORTED,
        "Gemini offers chat completions, messages, generateContent and embeddings, not this operation.",
      );
  }
}

/** AI Studio's own; Vertex AI embeds by other methods, which take a task too. */
function beginEmbedContent(call: ProviderCall, host: GeminiHost, embeddings: EmbeddingsDialect): Exchange {
  if (embeddings === batchEmbedContents) return createEmbedContentExchange(call, host);
  return createEmbedContentOverEmbeddings(call, {
    id: host.id,
    takesTask: true,
    begin: (inner) => createEmbeddingsExchange(inner, host, embeddings),
  });
}
