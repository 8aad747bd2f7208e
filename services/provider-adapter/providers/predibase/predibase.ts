import { ownOpenAiRow } from "#catalog/catalog.ts";
import type { OpenAiRow } from "#catalog/provider-row.ts";
import { gatewayError } from "#chassis/errors.ts";
import { editJson, JsonObjectProblem } from "#chassis/json-members.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange, Provider, ProviderCall } from "../../provider.ts";
import { decodeText, parseObject, textOf } from "../../translate/json-reading.ts";
import { createMessagesOverChat } from "../../translate/messages-over-chat.ts";
import { classifyError } from "../openai-compatible/errors.ts";
import { createOpenAiExchange } from "../openai-compatible/exchange.ts";

const providerId = "predibase";
const ownAddress = "https://serving.app.predibase.com";

const template = ownOpenAiRow({
  id: providerId,
  base_url: `${ownAddress}/{tenant_id}/deployments/v2/llms`,
  key_variables: ["PREDIBASE_API_KEY"],
  settings: [{ name: "tenant_id", variables: ["PREDIBASE_TENANT_ID"] }],
  paths: {},
});

/**
 * Predibase: OpenAI's format below the address of a deployment, which the model names. The model of the body is an adapter,
 * `adapter_id`; empty means the deployment's own. https://docs.predibase.com/user-guide/inference/rest_api
 */
export const predibase: Provider = {
  id: providerId,
  begin: (call) =>
    call.operation === Operation.MESSAGES
      ? createMessagesOverChat(call, { id: providerId, upstream: { outputLimitField: "max_tokens" }, begin })
      : begin(call),
  classifyError: (status, headers, body) => classifyError(providerId, status, headers, body),
};

function begin(call: ProviderCall): Exchange {
  const asked = { ...call.defaultParams, ...parseObject(decodeText(call.body)) };
  const path = `${encodeURIComponent(call.model)}/v1`;
  return createOpenAiExchange(rowOf(path), {
    ...call,
    model: textOf(asked.adapter_id),
    baseUrl: baseOf(call),
    body: withoutAdapter(call.body),
    defaultParams: Object.fromEntries(
      Object.entries(call.defaultParams).filter(([name]) => name !== "adapter_id" && name !== "adapter_source"),
    ),
  });
}

function rowOf(path: string): OpenAiRow {
  return { ...template, paths: { chat_completions: `${path}/chat/completions`, completions: `${path}/completions` } };
}

/** An address without a tenant gets the one of the settings. */
function baseOf({ baseUrl, settings }: ProviderCall): string {
  const tenant = settings.tenant_id ?? "";
  if (baseUrl === "" || baseUrl.includes("/deployments/") || !/^[\w-]+$/.test(tenant)) return baseUrl;
  return `${baseUrl}/${tenant}/deployments/v2/llms`;
}

function withoutAdapter(body: Uint8Array): Uint8Array {
  try {
    return editJson(body, { remove: ["adapter_id", "adapter_source"] });
  } catch (error) {
    if (!(error instanceof JsonObjectProblem)) throw error;
    throw gatewayError(Reason.INVALID_REQUEST, `the body is not a JSON object: ${error.message}`);
  }
}
