import { gatewayError } from "#chassis/errors.ts";
import type { Secret } from "#chassis/secret.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { Target } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { InferRequest } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import type { JsonObject, Provider, ProviderCall } from "./provider.ts";
import type { ProviderLookup } from "./provider-lookup.ts";
import { decodeText, parseObject } from "./translate/json-reading.ts";

/** A request that an adapter can work on. */
export interface AdapterCall {
  readonly target: Target;
  readonly provider: Provider;
  readonly call: ProviderCall;
  /** The edge's estimate, for an answer whose usage never comes. */
  readonly inputTokens: number;
}

/** Client headers that are the gateway's business, or would replace the deployment's credential. */
const keptBack = new Set(["authorization", "x-api-key", "api-key", "cookie", "proxy-authorization"]);

/** What it takes to read a request. */
export interface CallParts {
  readonly providers: ProviderLookup;
  readonly openCredential: (sealed: Uint8Array) => Secret | undefined;
}

/**
 * Reads a request; a promise of it where the code of its provider is loaded first. Throws INVALID_REQUEST where the router
 * has not filled it as it must.
 */
export function readCall(parts: CallParts, request: InferRequest): AdapterCall | Promise<AdapterCall> {
  const { target } = request;
  if (target === undefined) throw gatewayError(Reason.INVALID_REQUEST, "the call names no target", { param: "target" });
  const provider = parts.providers.find(target);
  if (provider === undefined) {
    throw gatewayError(Reason.MODEL_NOT_FOUND, `there is no provider ${target.provider}`, { param: "model" });
  }
  if (provider instanceof Promise) return provider.then((loaded) => callOf(parts, request, target, loaded));
  return callOf(parts, request, target, provider);
}

function callOf({ openCredential }: CallParts, request: InferRequest, target: Target, provider: Provider): AdapterCall {
  return {
    target,
    provider,
    inputTokens: request.shape?.inputTokens ?? 0,
    call: {
      operation: request.operation,
      stream: request.stream,
      model: target.model,
      body: request.body,
      contentType: request.contentType,
      baseUrl: target.baseUrl.endsWith("/") ? target.baseUrl.replace(/\/+$/, "") : target.baseUrl,
      credential: openCredential(target.sealedCredential),
      settings: target.settings,
      headers: readHeaders(request.headers, target.headers),
      defaultParams: readDefaultParams(target.defaultParams),
      outputTokenCap: target.outputTokenCap,
      dropParams: target.dropParams,
      allowedParams: target.allowedOpenaiParams,
      callId: request.callId,
      createdAt: Math.floor(Date.now() / 1000),
    },
  };
}

/** The deployment's headers win over the client's. */
function readHeaders(client: Record<string, string>, deployment: Record<string, string>): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const name in client) {
    const lower = name.toLowerCase();
    if (!keptBack.has(lower)) headers[lower] = client[name] ?? "";
  }
  for (const name in deployment) headers[name.toLowerCase()] = deployment[name] ?? "";
  return headers;
}

function readDefaultParams(bytes: Uint8Array): JsonObject {
  if (bytes.length === 0) return {};
  const params = parseObject(decodeText(bytes));
  if (params === undefined) throw gatewayError(Reason.INVALID_REQUEST, "the deployment's parameters are malformed");
  return params;
}
