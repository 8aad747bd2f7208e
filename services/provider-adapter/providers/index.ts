import type { Provider } from "../provider.ts";
import { anthropic } from "./anthropic/anthropic.ts";
import { azure } from "./azure/azure.ts";
import { azureAi } from "./azure-ai/azure-ai.ts";
import { bedrock } from "./bedrock/bedrock.ts";
import { cohere } from "./cohere/cohere.ts";
import { gemini } from "./gemini/gemini.ts";
import { grpc } from "./grpc/grpc.ts";
import { mock } from "./mock/mock.ts";
import { ollamaChat } from "./ollama-chat/ollama-chat.ts";
import { createOpenAiCompatibleProviders } from "./openai-compatible/provider.ts";
import { createRetrievalProviders } from "./retrieval/retrieval.ts";
import { vertexAi } from "./vertex-ai/vertex-ai.ts";

/** Every provider there is, by id. */
export function createProviders(): ReadonlyMap<string, Provider> {
  const providers = [
    ...createOpenAiCompatibleProviders(),
    ...createRetrievalProviders(),
    anthropic,
    azure,
    azureAi,
    bedrock,
    cohere,
    ollamaChat,
    gemini,
    grpc,
    vertexAi,
    mock,
  ];
  return new Map(providers.map((provider) => [provider.id, provider]));
}
