import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import { type Endpoint, isUndated, operationPath, type UserAddress, undated } from "../azure/endpoint.ts";

/** LiteLLM's, for the model inference API. */
const defaultApiVersion = "2024-05-01-preview";

/** A host of Azure OpenAI, whose addresses are those of deployments. */
export function isOpenAiHost({ host }: UserAddress): boolean {
  return /\.(?:openai|cognitiveservices)\.azure\.[a-z]+$/.test(host);
}

/** A host of a Foundry resource. Others are a model of their own, with a bearer token. */
export function isFoundryHost({ host }: UserAddress): boolean {
  return /\.services\.ai\.azure\.[a-z]+$/.test(host);
}

/**
 * The address of an operation. A Foundry resource has its models below `/models` by dated versions, and below `/openai/v1`
 * without dates; responses and legacy completions are there alone. A serverless model has OpenAI's paths at its root.
 */
export function foundryEndpoint(address: UserAddress, operation: Operation, apiVersion: string): Endpoint {
  const path = operationPath(operation);
  const version = apiVersion || address.apiVersion;
  if (!isFoundryHost(address)) {
    return { base: address.root, path: version === "" ? path : `${path}?api-version=${encodeURIComponent(version)}` };
  }
  if (address.root.endsWith("/openai/v1")) return undated(address.root, path, version);
  const resource = resourceRoot(address);
  const onlyUndated = operation === Operation.RESPONSES || operation === Operation.COMPLETIONS;
  if (onlyUndated || isUndated(version)) return undated(`${resource}/openai/v1`, path, version);
  const query = `?api-version=${encodeURIComponent(version || defaultApiVersion)}`;
  return { base: `${resource}/models`, path: `${path}${query}` };
}

/** Where a resource speaks Anthropic's dialect. */
export function anthropicBase(address: UserAddress): string {
  const root = address.root.replace(/(?:\/v1)?\/messages$/, "");
  return root.includes("/anthropic") ? root : `${resourceRoot(address)}/anthropic`;
}

function resourceRoot({ root }: UserAddress): string {
  return root.replace(/\/(?:models|openai(?:\/v1)?)$/, "");
}
