import type { Provider } from "../provider.ts";
import { createOpenAiCompatibleProviders } from "./openai-compatible/provider.ts";

/** A provider, or the way to come by it. */
export type ProviderSource = Provider | (() => Promise<Provider>);

/** Those with code of their own. It is imported when the first call asks for it: most gateways use a few of them. */
const native: Readonly<Record<string, () => Promise<Provider>>> = {
  anthropic: async () => (await import("./anthropic/anthropic.ts")).anthropic,
  azure: async () => (await import("./azure/azure.ts")).azure,
  azure_ai: async () => (await import("./azure-ai/azure-ai.ts")).azureAi,
  bedrock: async () => (await import("./bedrock/bedrock.ts")).bedrock,
  cohere: async () => (await import("./cohere/cohere.ts")).cohere,
  databricks: async () => (await import("./databricks/databricks.ts")).databricks,
  gemini: async () => (await import("./gemini/gemini.ts")).gemini,
  gigachat: async () => (await import("./gigachat/gigachat.ts")).gigachat,
  grpc: async () => (await import("./grpc/grpc.ts")).grpc,
  huggingface: async () => (await import("./huggingface/huggingface.ts")).huggingface,
  jina_ai: async () => (await import("./retrieval/retrieval.ts")).jina,
  langflow: async () => (await import("./langflow/langflow.ts")).langflow,
  langgraph: async () => (await import("./langgraph/langgraph.ts")).langgraph,
  mock: async () => (await import("./mock/mock.ts")).mock,
  nlp_cloud: async () => (await import("./nlp-cloud/nlp-cloud.ts")).nlpCloud,
  oci: async () => (await import("./oci/oci.ts")).oci,
  ollama_chat: async () => (await import("./ollama-chat/ollama-chat.ts")).ollamaChat,
  predibase: async () => (await import("./predibase/predibase.ts")).predibase,
  replicate: async () => (await import("./replicate/replicate.ts")).replicate,
  sagemaker: async () => (await import("./sagemaker/sagemaker.ts")).sagemaker,
  sagemaker_chat: async () => (await import("./sagemaker/sagemaker.ts")).sagemakerChat,
  sap: async () => (await import("./sap/sap.ts")).sap,
  snowflake: async () => (await import("./snowflake/snowflake.ts")).snowflake,
  "text-completion-codestral": async () =>
    (await import("./text-completion-codestral/text-completion-codestral.ts")).textCompletionCodestral,
  triton: async () => (await import("./triton/triton.ts")).triton,
  vertex_ai: async () => (await import("./vertex-ai/vertex-ai.ts")).vertexAi,
  voyage: async () => (await import("./retrieval/retrieval.ts")).voyage,
  watsonx: async () => (await import("./watsonx/watsonx.ts")).watsonx,
  watsonx_text: async () => (await import("./watsonx-text/watsonx-text.ts")).watsonxText,
};

/** Every provider there is, by id. */
export function providerSources(): ReadonlyMap<string, ProviderSource> {
  const openAi = createOpenAiCompatibleProviders().map((provider) => [provider.id, provider] as const);
  return new Map<string, ProviderSource>([...openAi, ...Object.entries(native)]);
}
