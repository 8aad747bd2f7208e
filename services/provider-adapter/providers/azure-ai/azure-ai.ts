import type { UpstreamErrorInit } from "#chassis/errors.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange, Provider, ProviderCall } from "../../provider.ts";
import { decodeText, parseObject } from "../../translate/json-reading.ts";
import { createMessagesOverChat } from "../../translate/messages-over-chat.ts";
import { anthropic } from "../anthropic/anthropic.ts";
import { createAzureExchange } from "../azure/azure.ts";
import { classifyError as classifyAzureError } from "../azure/classify-error.ts";
import { readCredential } from "../azure/credential.ts";
import { hasStreamUsage, readAddress } from "../azure/endpoint.ts";
import { openAiRow } from "../azure/openai-row.ts";
import { createOpenAiExchange } from "../openai-compatible/exchange.ts";
import { anthropicBase, foundryEndpoint, isFoundryHost, isOpenAiHost } from "./endpoint.ts";

const providerId = "azure_ai";
const baseVariable = "AZURE_AI_API_BASE";
const keyVariable = "AZURE_AI_API_KEY";
const claude = /^claude/i;
const routerPrefix = /^model_router\//;

/**
 * Azure AI Foundry: models of many makers behind one resource, in OpenAI's format; Claude in Anthropic's own dialect.
 * https://learn.microsoft.com/azure/ai-foundry/foundry-models/concepts/endpoints
 */
export const azureAi: Provider = {
  id: providerId,
  authorizer: "azure-token",
  begin(call) {
    if (claude.test(call.model)) return anthropic.begin(anthropicCall(call));
    if (call.operation !== Operation.MESSAGES) return begin(call);
    return createMessagesOverChat(call, { id: providerId, upstream: { outputLimitField: "max_tokens" }, begin });
  },
  classifyError,
};

function begin(call: ProviderCall): Exchange {
  const address = readAddress(call.baseUrl, `set api_base or ${baseVariable}`);
  if (isOpenAiHost(address)) return createAzureExchange(providerId, call, baseVariable, keyVariable);
  const version = call.settings.api_version ?? "";
  const endpoint = foundryEndpoint(address, call.operation, version);
  const credential = readCredential(call, providerId, keyVariable);
  const row = openAiRow({
    id: providerId,
    endpoint,
    credential,
    keyHeader: isFoundryHost(address) ? "api-key" : "authorization",
    streamUsage: hasStreamUsage(isFoundryHost(address) ? "" : version),
    isReasoning: false,
  });
  return createOpenAiExchange(row, {
    ...call,
    model: call.model.replace(routerPrefix, ""),
    baseUrl: endpoint.base,
    credential: credential.secret,
    headers: endpoint.base.endsWith("/models") ? withExtraParameters(call) : call.headers,
  });
}

/** Below `/models` a field that its description does not have is refused, unless a header says what to do with it. */
function withExtraParameters({ headers, dropParams }: ProviderCall): Record<string, string> {
  return { "extra-parameters": dropParams ? "drop" : "pass-through", ...headers };
}

function anthropicCall(call: ProviderCall): ProviderCall {
  const address = readAddress(call.baseUrl, `set api_base or ${baseVariable}`);
  const { secret, kind } = readCredential(call, providerId, keyVariable);
  const changed = { ...call, baseUrl: anthropicBase(address), credential: kind === "key" ? secret : undefined };
  if (kind !== "token" || secret === undefined) return changed;
  return { ...changed, headers: { ...call.headers, authorization: `Bearer ${secret.reveal()}` } };
}

/** Claude's errors have a shape of their own. */
function classifyError(status: number, headers: Readonly<Record<string, string>>, body: Uint8Array): UpstreamErrorInit {
  const isAnthropic = parseObject(decodeText(body))?.type === "error";
  return isAnthropic
    ? { ...anthropic.classifyError(status, headers, body), provider: providerId }
    : classifyAzureError(providerId, status, headers, body);
}
