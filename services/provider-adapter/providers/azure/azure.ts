import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange, Provider, ProviderCall } from "../../provider.ts";
import { createMessagesOverChat } from "../../translate/messages-over-chat.ts";
import { createOpenAiExchange } from "../openai-compatible/exchange.ts";
import { classifyError } from "./classify-error.ts";
import { readCredential } from "./credential.ts";
import { azureEndpoint, hasStreamUsage, readAddress } from "./endpoint.ts";
import { openAiRow } from "./openai-row.ts";

const providerId = "azure";

/** LiteLLM's way to say that a deployment, whatever it is called, holds such a model. */
const seriesPrefix = /^(?:o_series|gpt5_series)\//;

/**
 * Azure OpenAI: OpenAI's format below the address of a deployment, with Azure's key header or a token of Microsoft Entra
 * ID. https://learn.microsoft.com/azure/ai-foundry/openai/reference
 */
export const azure: Provider = {
  id: providerId,
  authorizer: "azure-token",
  begin: (call) =>
    call.operation === Operation.MESSAGES
      ? createMessagesOverChat(call, { id: providerId, upstream: { outputLimitField: "max_tokens" }, begin })
      : begin(call),
  classifyError: (status, headers, body) => classifyError(providerId, status, headers, body),
};

function begin(call: ProviderCall): Exchange {
  return createAzureExchange(providerId, call, "AZURE_API_BASE", "AZURE_API_KEY");
}

/** One call of an Azure OpenAI resource, on behalf of a provider that has its own variables for address and key. */
export function createAzureExchange(
  id: string,
  call: ProviderCall,
  baseVariable: string,
  keyVariable: string,
): Exchange {
  const address = readAddress(call.baseUrl, `set api_base or ${baseVariable}`);
  const version = call.settings.api_version ?? "";
  const model = call.model.replace(seriesPrefix, "");
  const endpoint = azureEndpoint(address, call.operation, model, version);
  const credential = readCredential(call, id, keyVariable);
  const row = openAiRow({
    id,
    endpoint,
    credential,
    keyHeader: "api-key",
    streamUsage: hasStreamUsage(version || address.apiVersion),
    isReasoning: model !== call.model,
  });
  return createOpenAiExchange(row, { ...call, model, baseUrl: endpoint.base, credential: credential.secret });
}
