import { generateKeyPairSync } from "node:crypto";
import type { JsonObject } from "../../services/provider-adapter/provider.ts";
import type { Wire } from "../../services/provider-adapter/testing/conformance-subject.ts";
import { anthropicWire } from "../../services/provider-adapter/testing/wires/anthropic.ts";
import { cohereWire } from "../../services/provider-adapter/testing/wires/cohere.ts";
import { converseWire } from "../../services/provider-adapter/testing/wires/converse.ts";
import { geminiWire } from "../../services/provider-adapter/testing/wires/gemini.ts";
import { ollamaWire } from "../../services/provider-adapter/testing/wires/ollama.ts";
import { openAiWire } from "../../services/provider-adapter/testing/wires/openai.ts";

/** A model in the configuration that both gateways read. */
export interface Deployment {
  readonly name: string;
  readonly wire: Wire;
  /** The model's name in the provider's answers. */
  readonly model: string;
  readonly litellm_params: JsonObject;
}

/** Every provider that is compared, its address moved to the fake upstream. */
export function deploymentsAt(upstream: string): Deployment[] {
  const google = { vertex_project: "p", vertex_location: "us-east5", vertex_credentials: serviceAccount(upstream) };
  return [
    deployment("anthropic", anthropicWire, "anthropic/claude-sonnet-4-5-20250929", {
      api_base: `${upstream}/anthropic`,
      api_key: "sk-ant-compare",
    }),
    deployment("gemini", geminiWire, "gemini/gemini-2.5-flash", {
      api_base: `${upstream}/gemini/v1beta`,
      api_key: "AIza-compare",
    }),
    deployment("bedrock", converseWire, "bedrock/anthropic.claude-sonnet-4-5-20250929-v1:0", {
      aws_bedrock_runtime_endpoint: `${upstream}/bedrock`,
      aws_access_key_id: "AKIACOMPARE",
      aws_secret_access_key: "compare-secret",
      aws_region_name: "us-east-1",
    }),
    deployment("vertex_gemini", geminiWire, "vertex_ai/gemini-2.5-flash", { api_base: upstream, ...google }),
    deployment("vertex_claude", anthropicWire, "vertex_ai/claude-sonnet-4-5@20250929", {
      api_base: upstream,
      ...google,
    }),
    deployment("cohere", cohereWire, "cohere_chat/command-a-03-2025", {
      api_base: `${upstream}/cohere/v2/chat`,
      api_key: "cohere-compare",
    }),
    deployment("azure", openAiWire, "azure/gpt-4o", {
      api_base: `${upstream}/azure`,
      api_key: "azure-compare",
      api_version: "2025-01-01-preview",
    }),
    deployment("ollama", ollamaWire, "ollama_chat/qwen3:4b", { api_base: `${upstream}/ollama` }),
  ];
}

function deployment(name: string, wire: Wire, model: string, params: JsonObject): Deployment {
  return { name, wire, model: model.split("/").at(-1) ?? "", litellm_params: { model, ...params } };
}

/** A service account of nobody's, whose tokens the fake upstream hands out. */
function serviceAccount(upstream: string): string {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  return JSON.stringify({
    type: "service_account",
    project_id: "p",
    private_key_id: "k",
    private_key: privateKey.export({ type: "pkcs8", format: "pem" }),
    client_email: "compare@p.iam.gserviceaccount.com",
    client_id: "1",
    token_uri: `${upstream}/token`,
  });
}

/** `config.yaml` for both gateways; JSON is YAML. */
export function configOf(deployments: readonly Deployment[]): string {
  return JSON.stringify({
    model_list: deployments.map(({ name, litellm_params }) => ({ model_name: name, litellm_params })),
    router_settings: { num_retries: 0, disable_cooldowns: true },
    // LiteLLM fetches pictures from public addresses alone, unless it is told otherwise.
    litellm_settings: { num_retries: 0, user_url_validation: false },
  });
}
