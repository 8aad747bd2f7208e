import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { type GoogleCredential, projectOf, readGoogleCredential } from "../../google-credential.ts";
import type { JsonObject, ProviderCall, UpstreamRequest } from "../../provider.ts";
import { bodyBytes, headerValue, withCallHeaders } from "../gemini/upstream-request.ts";

export const providerId = "vertex_ai";

const defaultLocation = "us-central1";
const version = "v1beta1";

/** Whose models Vertex AI serves, as its addresses name them. */
export type Publisher = "google" | "anthropic" | "mistralai" | "ai21";

/** The HTTP request for a method of a model of Google's. */
export function upstreamRequest(call: ProviderCall, method: string, body: JsonObject | Uint8Array): UpstreamRequest {
  return publisherRequest(call, "google", method, bodyBytes(body));
}

/**
 * The HTTP request for a method of a publisher's model at Vertex AI. Where no token is given, the authorizer
 * `google-token` adds one: of the credential, or of the machine that this runs on.
 */
export function publisherRequest(
  call: ProviderCall,
  publisher: Publisher,
  method: string,
  body: Uint8Array,
): UpstreamRequest {
  const credential = readGoogleCredential(call.credential);
  return {
    method: "POST",
    url: `${resourceAddress(call, credential, modelResource(call.model, publisher))}:${method}`,
    headers: withCallHeaders(credentialHeaders(credential), call),
    body,
  };
}

/** The header of a key, or of a token that was given as it is. */
export function credentialHeaders({ apiKey, token }: GoogleCredential): Record<string, string> {
  if (apiKey !== "") return { "x-goog-api-key": headerValue(providerId, apiKey) };
  return token === "" ? {} : { authorization: `Bearer ${headerValue(providerId, token)}` };
}

/** A model below its project. A number is a tuned model's endpoint. */
export function modelResource(model: string, publisher: Publisher): string {
  if (publisher === "google" && /^\d+$/.test(model)) return `endpoints/${model}`;
  return `publishers/${publisher}/models/${encodeURIComponent(model).replace("%40", "@")}`;
}

/** A base address with or without its version; one that names a project already is taken as far as it goes. */
export function resourceAddress(
  call: ProviderCall,
  { apiKey, credentials }: GoogleCredential,
  resource: string,
): string {
  const location = call.settings.vertex_location ?? defaultLocation;
  const project = call.settings.vertex_project ?? projectOf(credentials);
  const base = call.baseUrl === "" ? `https://${hostOf(location)}` : call.baseUrl;
  if (base.includes("/projects/")) return /\/(?:models|endpoints)\//.test(base) ? base : `${base}/${resource}`;
  const root = /\/v\d+[a-z0-9]*$/.test(base) ? base : `${base}/${version}`;
  if (project !== "") {
    return `${root}/projects/${encodeURIComponent(project)}/locations/${encodeURIComponent(location)}/${resource}`;
  }
  // A key belongs to a project by itself.
  if (apiKey !== "") return `${root}/${resource}`;
  throw gatewayError(Reason.INVALID_REQUEST, "vertex_ai needs a project: set vertex_project or VERTEXAI_PROJECT.", {
    param: "model",
  });
}

/** https://docs.cloud.google.com/vertex-ai/generative-ai/docs/learn/locations */
function hostOf(location: string): string {
  if (!/^[a-z0-9-]{1,40}$/.test(location)) {
    throw gatewayError(Reason.INVALID_REQUEST, "vertex_location is no location of Google Cloud.", { param: "model" });
  }
  if (location === "global") return "aiplatform.googleapis.com";
  if (location === "us" || location === "eu") return `aiplatform.${location}.rep.googleapis.com`;
  return `${location}-aiplatform.googleapis.com`;
}
