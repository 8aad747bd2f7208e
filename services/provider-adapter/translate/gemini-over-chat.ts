import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange, JsonObject, Provider, ProviderCall } from "../provider.ts";
import { chatCompletionToGemini } from "./chat-to-gemini/answer.ts";
import type { GeminiAnswerFrame } from "./chat-to-gemini/answer-candidate.ts";
import { GeminiEvents } from "./chat-to-gemini/stream.ts";
import { createEmbedContentOverEmbeddings } from "./gemini-over-embeddings.ts";
import { namedAsWritten } from "./gemini-to-chat/param-names.ts";
import { geminiToChatRequest } from "./gemini-to-chat/request.ts";
import { decodeText, isObject, parseObject } from "./json-reading.ts";
import { type ChatProvider, createOverChat } from "./over-chat.ts";

/** What clients of Google's send to every model. */
const hints = ["reasoning_effort"];

/**
 * A provider that takes GENERATE_CONTENT and EMBED_CONTENT too: by itself where it can, else by way of its chat completions
 * and embeddings.
 */
export function withGenerateContent(provider: Provider): Provider {
  if (provider.takesGenerateContent === true) return provider;
  const { countTokens } = provider;
  const chat: ChatProvider = {
    id: provider.id,
    upstream: provider.chatUpstream ?? { outputLimitField: "max_tokens" },
    begin: (call) => provider.begin(call),
  };
  const embeddings = { id: provider.id, takesTask: false, begin: (call: ProviderCall) => provider.begin(call) };
  const overChat: Provider = {
    ...provider,
    begin: (call) => {
      if (call.operation === Operation.EMBED_CONTENT) return createEmbedContentOverEmbeddings(call, embeddings);
      return speaksGemini(call) ? createGeminiOverChat(call, chat) : provider.begin(call);
    },
  };
  if (countTokens === undefined) return overChat;
  return { ...overChat, countTokens: (call) => countTokens(speaksGemini(call) ? chatCall(call, chat).call : call) };
}

function speaksGemini({ operation }: ProviderCall): boolean {
  return operation === Operation.GENERATE_CONTENT;
}

/** A call of Google's dialect over a provider that speaks chat completions. */
export function createGeminiOverChat(call: ProviderCall, provider: ChatProvider): Exchange {
  const { call: inChat, frame } = chatCall(call, provider);
  const events = new GeminiEvents(frame);
  return createOverChat(
    namedAsWritten(() => provider.begin(inChat)),
    provider,
    {
      whole: (completion, usage) => chatCompletionToGemini(completion, usage, frame),
      push(chunk, out) {
        events.push(chunk, out);
        return true;
      },
      finish(usage) {
        const closing = events.finish(usage);
        return closing === undefined ? undefined : [closing];
      },
    },
  );
}

/** The call as a chat completion, and what its answer has to look like. */
function chatCall(call: ProviderCall, provider: ChatProvider): { call: ProviderCall; frame: GeminiAnswerFrame } {
  const { chat, includeThoughts } = geminiToChatRequest(countedRequest(bodyOf(call)), call, provider);
  const { id, upstream } = provider;
  return {
    call: { ...call, operation: Operation.CHAT_COMPLETIONS, hints, body: Buffer.from(JSON.stringify(chat)) },
    frame: { provider: id, reasoningField: upstream.reasoningField, includeThoughts },
  };
}

/** The request itself of one whose tokens are to be counted: clients may wrap it. https://ai.google.dev/api/tokens */
export function countedRequest(body: JsonObject): JsonObject {
  const wrapped = body.generateContentRequest ?? body.generate_content_request;
  return isObject(wrapped) ? wrapped : body;
}

function bodyOf(call: ProviderCall): JsonObject {
  const body = parseObject(decodeText(call.body));
  if (body === undefined) throw gatewayError(Reason.INVALID_REQUEST, "The body has to be a JSON object.");
  return body;
}
