import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { AuthorizerKind, ChatUpstream, Exchange, Provider, ProviderCall } from "../provider.ts";
import { createMessagesOverChat } from "../translate/messages-over-chat.ts";
import { classifyError } from "./openai-compatible/errors.ts";

/** What a provider is made of whose chat has a form of its own, and whose errors have a usual one. */
export interface ChatProviderParts {
  readonly id: string;
  readonly authorizer?: AuthorizerKind;
  /** What its chat takes that not every chat does. */
  readonly upstream: ChatUpstream;
  /** Begins a call of CHAT_COMPLETIONS. */
  chat(call: ProviderCall): Exchange;
  /** Begins a call of EMBEDDINGS; absent where it has none. */
  embeddings?(call: ProviderCall): Exchange;
  /** Begins a call of COMPLETIONS; absent where it has none. */
  completions?(call: ProviderCall): Exchange;
  /** Begins a call of RERANK; absent where it has none. */
  rerank?(call: ProviderCall): Exchange;
}

/** A provider with a chat, messages by way of it, and what else it has. */
export function createChatProvider(parts: ChatProviderParts): Provider {
  const { id, authorizer } = parts;
  return {
    id,
    ...(authorizer === undefined ? {} : { authorizer }),
    begin: (call) => begin(parts, call),
    classifyError: (status, headers, body) => classifyError(id, status, headers, body),
  };
}

function begin(parts: ChatProviderParts, call: ProviderCall): Exchange {
  const { id, upstream, chat } = parts;
  if (call.operation === Operation.CHAT_COMPLETIONS) return chat(call);
  if (call.operation === Operation.MESSAGES) return createMessagesOverChat(call, { id, upstream, begin: chat });
  const further = furtherOf(parts, call.operation);
  if (further !== undefined) return further(call);
  throw gatewayError(Reason.OPERATION_UNSUPPORTED, `${id} does not offer this operation.`, { param: "model" });
}

function furtherOf(parts: ChatProviderParts, operation: Operation): ((call: ProviderCall) => Exchange) | undefined {
  switch (operation) {
    case Operation.EMBEDDINGS:
      return parts.embeddings;
    case Operation.COMPLETIONS:
      return parts.completions;
    case Operation.RERANK:
      return parts.rerank;
    default:
      return undefined;
  }
}
