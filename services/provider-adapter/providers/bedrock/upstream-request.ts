import type { JsonObject, JsonValue, ProviderCall, UpstreamRequest } from "../../provider.ts";
import { objectOf, textOf } from "../../translate/json-reading.ts";
import { awsDomain, awsRequest, regionOf } from "../aws-request.ts";
import { arnRegion, type BedrockModel } from "./bedrock-model.ts";

/** The methods of a model. A call that streams goes to the method's other form. */
export type BedrockMethod = "converse" | "invoke" | "count-tokens";

const streaming: Readonly<Record<BedrockMethod, string>> = {
  converse: "converse-stream",
  invoke: "invoke-with-response-stream",
  "count-tokens": "count-tokens",
};

/**
 * The HTTP request for a method of a model. LiteLLM's `model_id` is what is called in the model's place, a profile of it that
 * does not tell what stands behind it; tokens are counted of the model itself.
 * https://docs.aws.amazon.com/bedrock/latest/APIReference/API_Operations_Amazon_Bedrock_Runtime.html
 */
export function upstreamRequest(
  call: ProviderCall,
  model: BedrockModel,
  method: BedrockMethod,
  body: Uint8Array,
  headers: Readonly<Record<string, string>> = {},
): UpstreamRequest {
  const profile = method === "count-tokens" ? "" : (call.settings.model_id ?? "");
  const region = regionOf(call, model.region || arnRegion(profile), givenBase(call));
  const base = givenBase(call) || `https://bedrock-runtime.${region}.${awsDomain(region)}`;
  const url = `${base}/model/${encodeURIComponent(profile || model.id)}/${call.stream ? streaming[method] : method}`;
  const accept = call.stream ? "application/vnd.amazon.eventstream" : "application/json";
  return awsRequest(call, { url, scope: { region, service: "bedrock" }, accept, headers }, body);
}

/** The HTTP request to Bedrock's other service, that of agents, which ranks documents. */
export function agentRequest(call: ProviderCall, region: string, path: string, body: Uint8Array): UpstreamRequest {
  const own = `https://bedrock-agent-runtime.${region}.${awsDomain(region)}`;
  const base = givenBase(call).replace(/\bbedrock-runtime\b/, "bedrock-agent-runtime") || own;
  const parts = { url: `${base}${path}`, scope: { region, service: "bedrock" }, accept: "application/json" };
  return awsRequest(call, parts, body);
}

/** The region of a call to a model. */
export function bedrockRegion(call: ProviderCall, model: BedrockModel): string {
  return regionOf(call, model.region, givenBase(call));
}

/** What Converse has in its body and Invoke in headers. https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html */
export function invokeHeaders(params: JsonObject): Record<string, string> {
  const guardrail = objectOf(params.guardrailConfig);
  const entries: readonly (readonly [string, JsonValue | undefined])[] = [
    ["x-amzn-bedrock-guardrailidentifier", guardrail.guardrailIdentifier],
    ["x-amzn-bedrock-guardrailversion", guardrail.guardrailVersion],
    ["x-amzn-bedrock-trace", textOf(guardrail.trace).toUpperCase()],
    ["x-amzn-bedrock-performanceconfig-latency", objectOf(params.performanceConfig).latency],
    ["x-amzn-bedrock-service-tier", objectOf(params.serviceTier).type ?? tierOf(params.service_tier)],
  ];
  return Object.fromEntries(
    entries.map(([name, value]) => [name, textOf(value)] as const).filter(([, value]) => /^[\x21-\x7e]+$/.test(value)),
  );
}

/** Members of a chat or Messages body that Invoke takes as headers. */
export const headerMembers = ["guardrailConfig", "performanceConfig", "serviceTier", "service_tier"] as const;

/** OpenAI's and Bedrock's service tiers; `auto` and `standard_only` ask for what there is anyway. */
export function tierOf(tier: JsonValue | undefined): string | undefined {
  return tier === "default" || tier === "flex" || tier === "priority" || tier === "reserved" ? tier : undefined;
}

function givenBase(call: ProviderCall): string {
  return call.baseUrl || (call.settings.aws_bedrock_runtime_endpoint ?? "").replace(/\/+$/, "");
}
