import type { FollowUp, JsonObject, ProviderCall, UpstreamRequest } from "../../provider.ts";
import { textOf } from "../../translate/json-reading.ts";
import { bearerRequest } from "../bearer-request.ts";

export const providerId = "replicate";

const ownAddress = "https://api.replicate.com/v1";
const provider = { id: providerId, keyVariable: "REPLICATE_API_KEY" };
/**
 * How long the creation of a prediction waits for its end, so that a short one is answered at once. Before it is answered
 * nobody knows which prediction to stop.
 */
const waitSeconds = 5;
/** LiteLLM's, between two looks at a prediction. */
const pollMs = 500;
/** What LiteLLM's users write before the name of a deployment. */
const deploymentPrefix = "deployments/";

/**
 * The request that creates a prediction: of a model by its name, of one version of it (`owner/model:version`, or the 64
 * characters of the version alone), or of a deployment. https://replicate.com/docs/topics/predictions/create-a-prediction
 */
export function upstreamRequest(call: ProviderCall, input: JsonObject): UpstreamRequest {
  const { path, version } = predictionOf(call.model);
  const body: JsonObject = version === "" ? { input } : { version, input };
  if (call.stream) body.stream = true;
  const request = bearerRequest(call, provider, `${baseOf(call)}${path}`, body);
  const headers: Record<string, string> = { ...request.headers, accept: "application/json" };
  if (!call.stream) headers.prefer = `wait=${waitSeconds}`;
  return { ...request, headers };
}

function predictionOf(model: string): { readonly path: string; readonly version: string } {
  const version = /^(?:[^:]*:)?([0-9a-f]{64})$/.exec(model)?.[1];
  if (version !== undefined) return { path: "/predictions", version };
  const isDeployment = model.startsWith(deploymentPrefix);
  const name = (isDeployment ? model.slice(deploymentPrefix.length) : model)
    .split("/")
    .map(encodeURIComponent)
    .join("/");
  return { path: `/${isDeployment ? "deployments" : "models"}/${name}/predictions`, version: "" };
}

function baseOf({ baseUrl }: ProviderCall): string {
  return (baseUrl === "" ? ownAddress : baseUrl).replace(/\/predictions$/, "");
}

/** The id of a prediction; empty where it is none that could be part of an address. */
export function idOf(prediction: JsonObject): string {
  const id = textOf(prediction.id);
  return /^\w+$/.test(id) ? id : "";
}

/** Another look at a prediction that is not made yet. */
export function pollRequest(call: ProviderCall, first: UpstreamRequest, id: string): FollowUp {
  return { request: getRequest(first, `${baseOf(call)}/predictions/${id}`, "application/json"), afterMs: pollMs };
}

/** Stops a prediction. https://replicate.com/docs/reference/http#predictions.cancel */
export function cancelRequest(call: ProviderCall, first: UpstreamRequest, id: string): UpstreamRequest {
  const { prefer: _, ...headers } = first.headers;
  return { method: "POST", url: `${baseOf(call)}/predictions/${id}/cancel`, headers, body: Buffer.from("{}") };
}

/**
 * The request for the stream of a prediction; undefined where it has none. The key goes to Replicate's own hosts alone, and
 * to the one that was asked: the address comes with an answer.
 */
export function streamRequest(call: ProviderCall, first: UpstreamRequest, address: string): FollowUp | undefined {
  const url = URL.parse(address);
  if (url === null) return undefined;
  const isOwn = url.protocol === "https:" && /(?:^|\.)replicate\.(?:com|net|delivery)$/.test(url.hostname);
  if (!isOwn && url.origin !== URL.parse(baseOf(call))?.origin) return undefined;
  return { request: getRequest(first, address, "text/event-stream"), afterMs: 0 };
}

function getRequest({ headers }: UpstreamRequest, url: string, accept: string): UpstreamRequest {
  const { prefer: _, "content-type": __, ...kept } = headers;
  return { method: "GET", url, headers: { ...kept, accept }, body: new Uint8Array() };
}
