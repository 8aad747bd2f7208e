import type { Provider } from "../provider.ts";
import { withGenerateContent } from "../translate/gemini-over-chat.ts";
import { anthropic } from "./anthropic/anthropic.ts";
import { azure } from "./azure/azure.ts";
import { azureAi } from "./azure-ai/azure-ai.ts";
import { bedrock } from "./bedrock/bedrock.ts";
import { cohere } from "./cohere/cohere.ts";
import { databricks } from "./databricks/databricks.ts";
import { gemini } from "./gemini/gemini.ts";
import { gigachat } from "./gigachat/gigachat.ts";
import { grpc } from "./grpc/grpc.ts";
import { huggingface } from "./huggingface/huggingface.ts";
import { langflow } from "./langflow/langflow.ts";
import { langgraph } from "./langgraph/langgraph.ts";
import { mock } from "./mock/mock.ts";
import { nlpCloud } from "./nlp-cloud/nlp-cloud.ts";
import { oci } from "./oci/oci.ts";
import { ollamaChat } from "./ollama-chat/ollama-chat.ts";
import { createOpenAiCompatibleProviders } from "./openai-compatible/provider.ts";
import { predibase } from "./predibase/predibase.ts";
import { replicate } from "./replicate/replicate.ts";
import { createRetrievalProviders } from "./retrieval/retrieval.ts";
import { sagemakerProviders } from "./sagemaker/sagemaker.ts";
import { sap } from "./sap/sap.ts";
import { snowflake } from "./snowflake/snowflake.ts";
import { textCompletionCodestral } from "./text-completion-codestral/text-completion-codestral.ts";
import { triton } from "./triton/triton.ts";
import { vertexAi } from "./vertex-ai/vertex-ai.ts";
import { watsonx } from "./watsonx/watsonx.ts";
import { watsonxText } from "./watsonx-text/watsonx-text.ts";

/** Every provider there is, by id. */
export function createProviders(): ReadonlyMap<string, Provider> {
  const providers = [
    ...createOpenAiCompatibleProviders(),
    ...createRetrievalProviders(),
    anthropic,
    azure,
    azureAi,
    bedrock,
    ...sagemakerProviders,
    cohere,
    ollamaChat,
    gemini,
    grpc,
    databricks,
    huggingface,
    predibase,
    replicate,
    snowflake,
    triton,
    watsonx,
    watsonxText,
    vertexAi,
    oci,
    sap,
    gigachat,
    nlpCloud,
    langgraph,
    langflow,
    textCompletionCodestral,
    mock,
  ];
  return new Map(providers.map((provider) => [provider.id, withGenerateContent(provider)]));
}
