import { openAiRows } from "#catalog/catalog.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Provider } from "../../provider.ts";
import { createMessagesOverChat } from "../../translate/messages-over-chat.ts";
import type { ChatProvider } from "../../translate/over-chat.ts";
import { classifyError } from "./errors.ts";
import { createOpenAiExchange } from "./exchange.ts";
import type { ProviderRow } from "./provider-row.ts";
import { createRerankExchange } from "./rerank-exchange.ts";

/** The providers of the catalog that speak OpenAI's format. */
export function createOpenAiCompatibleProviders(): Provider[] {
  return openAiRows().map(createOpenAiCompatibleProvider);
}

/** A provider that speaks OpenAI's format. Anthropic's messages are translated to chat completions and back. */
export function createOpenAiCompatibleProvider(row: ProviderRow): Provider {
  const chatProvider: ChatProvider = {
    id: row.id,
    upstream: {
      outputLimitField: row.output_limit_field,
      keepsCacheControl: row.keeps_cache_control,
      reasoningField: row.reasoning_field,
    },
    begin: (call) => createOpenAiExchange(row, call),
  };
  return {
    id: row.id,
    chatUpstream: chatProvider.upstream,
    ...(row.authorizer === undefined ? {} : { authorizer: row.authorizer }),
    ...(row.needs_media_bytes ? { needsBytes: () => true } : {}),
    begin: (call) => {
      if (call.operation === Operation.MESSAGES) return createMessagesOverChat(call, chatProvider);
      return call.operation === Operation.RERANK ? createRerankExchange(row, call) : createOpenAiExchange(row, call);
    },
    classifyError: (status, headers, body) => classifyError(row.id, status, headers, body),
  };
}
