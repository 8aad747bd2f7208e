import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";

/** Where a call goes: `base` without a trailing slash, `path` below it with its query. */
export interface Endpoint {
  readonly base: string;
  readonly path: string;
}

/** What a user's address says. */
export interface UserAddress {
  readonly host: string;
  /** Origin and path, without the path of an operation and without a trailing slash. */
  readonly root: string;
  /** The version in its query; empty where it has none. */
  readonly apiVersion: string;
}

/** LiteLLM's, for a deployment that names none. */
const defaultApiVersion = "2025-02-01-preview";
/** Before this version Azure has no Responses API below `/openai/responses`; `/openai/v1` has it always. */
const firstResponsesVersion = "2025-03-01";
/** Before this version Azure refuses `stream_options`. */
const firstStreamUsageVersion = "2024-09-01";

const operationPaths: ReadonlyMap<Operation, string> = new Map([
  [Operation.CHAT_COMPLETIONS, "chat/completions"],
  [Operation.COMPLETIONS, "completions"],
  [Operation.RESPONSES, "responses"],
  [Operation.EMBEDDINGS, "embeddings"],
]);

/** The path of an operation in OpenAI's words. Throws where Azure does not have the operation. */
export function operationPath(operation: Operation): string {
  const path = operationPaths.get(operation);
  if (path !== undefined) return path;
  throw gatewayError(Reason.OPERATION_UNSUPPORTED, "Azure does not offer this operation.", { param: "model" });
}

/** Reads `api_base`: the address of a resource, with or without the path that a portal shows behind it. */
export function readAddress(baseUrl: string, missing: string): UserAddress {
  if (baseUrl === "") throw gatewayError(Reason.INVALID_REQUEST, `no address for the deployment: ${missing}`);
  const url = URL.parse(baseUrl);
  if (url === null) throw gatewayError(Reason.INVALID_REQUEST, "the deployment's api_base is no address");
  const path = url.pathname.replace(/\/(?:chat\/completions|completions|embeddings|responses)\/*$/, "");
  return {
    host: url.hostname,
    root: `${url.origin}${path.replace(/\/{2,}/g, "/").replace(/\/$/, "")}`,
    apiVersion: url.searchParams.get("api-version") ?? "",
  };
}

/** Whether a version means `/openai/v1`, the API without dates. */
export function isUndated(apiVersion: string): boolean {
  return apiVersion === "v1" || apiVersion === "latest" || apiVersion === "preview";
}

/** Whether a chat stream of a version can be asked for usage. */
export function hasStreamUsage(apiVersion: string): boolean {
  return apiVersion === "" || isUndated(apiVersion) || apiVersion >= firstStreamUsageVersion;
}

/**
 * Azure OpenAI's address of an operation: `/openai/deployments/{deployment}/…?api-version=`, `/openai/v1/…` for the API
 * without dates, `/openai/responses?api-version=` for responses.
 * https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle
 */
export function azureEndpoint(
  address: UserAddress,
  operation: Operation,
  deployment: string,
  apiVersion: string,
): Endpoint {
  const path = operationPath(operation);
  if (/\/openai\/v1$/.test(address.root)) return undated(address.root, path, apiVersion);
  const own = /^(.*\/openai)\/deployments\/[^/]+$/.exec(address.root);
  const openai = own?.[1] ?? (address.root.endsWith("/openai") ? address.root : `${address.root}/openai`);
  const version = apiVersion || address.apiVersion;
  const isResponses = operation === Operation.RESPONSES;
  if (isUndated(version) || (isResponses && version < firstResponsesVersion)) {
    return undated(`${openai}/v1`, path, version);
  }
  const query = `?api-version=${encodeURIComponent(version || defaultApiVersion)}`;
  if (isResponses) return { base: openai, path: `${path}${query}` };
  const base = own === null ? `${openai}/deployments/${encodeURIComponent(deployment)}` : address.root;
  return { base, path: `${path}${query}` };
}

/** The version is asked for where it is a preview; without one the address means what is generally available. */
export function undated(base: string, path: string, apiVersion: string): Endpoint {
  return { base, path: apiVersion === "preview" ? `${path}?api-version=preview` : path };
}
