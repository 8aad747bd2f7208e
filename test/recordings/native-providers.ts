import { Secret } from "#chassis/secret.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { ProviderCall } from "../../services/provider-adapter/provider.ts";
import type { OutlinedDialect } from "./request-outline.ts";

/** A recorded provider with a dialect of its own, as its translator is called without a network. */
export interface NativeProvider {
  /** The recordings' name. */
  readonly provider: string;
  readonly id: string;
  readonly dialect: OutlinedDialect;
  /** The recorded endpoints of a chat. */
  readonly endpoints: RegExp;
}

export const nativeProviders: readonly NativeProvider[] = [
  { provider: "anthropic", id: "anthropic", dialect: "messages", endpoints: /^messages$/ },
  { provider: "bedrock", id: "bedrock", dialect: "converse", endpoints: /^bedrock\.converse/ },
  { provider: "gemini", id: "gemini", dialect: "gemini", endpoints: /GenerateContent$/i },
  { provider: "vertex", id: "vertex_ai", dialect: "gemini", endpoints: /GenerateContent$/i },
  { provider: "vertex", id: "vertex_ai", dialect: "messages", endpoints: /rawPredict/i },
  { provider: "cohere", id: "cohere", dialect: "cohere", endpoints: /^cohere\.v2\.chat$/ },
  { provider: "ollama", id: "ollama_chat", dialect: "ollama", endpoints: /^ollama\.chat$/ },
];

/** A chat completion call; what the provider cannot take is dropped. */
export function chatCall(model: string, body: string, stream = false): ProviderCall {
  return {
    operation: Operation.CHAT_COMPLETIONS,
    stream,
    model,
    body: Buffer.from(body),
    contentType: "application/json",
    baseUrl: "https://provider.test",
    credential: new Secret("key"),
    settings: { vertex_project: "p" },
    headers: {},
    defaultParams: {},
    outputTokenCap: undefined,
    dropParams: true,
    allowedParams: [],
    createdAt: 1_700_000_000,
  };
}
