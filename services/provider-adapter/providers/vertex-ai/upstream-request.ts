import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { type GoogleCredential, projectOf, readGoogleCredential } from "../../google-credential.ts";
import type { JsonObject, ProviderCall, UpstreamRequest } from "../../provider.ts";
import { authenticationError, bodyBytes, headerValue, withCallHeaders } from "../gemini/upstream-request.ts";

export const providerId = "vertex_ai";

const defaultLocation = "us-central1";
const version = "v1beta1";

/** Whose models Vertex AI serves, as its addresses name them. */
export type Publisher = "google" | "anthropic";

/** The HTTP request for a method of a model of Google's. */
export function upstreamRequest(call: ProviderCall, method: string, body: JsonObject | Uint8Array): UpstreamRequest {
  return publisherRequest(call, "google", method, bodyBytes(body));
}

/**
 * The HTTP request for a method of a publisher's model at Vertex AI. Where the credential is one that a token has to be
 * fetched with, the authorizer `google-token` adds the token.
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
    url: `${modelAddress(call, publisher, credential)}:${method}`,
    headers: withCallHeaders(credentialHeaders(call, credential), call),
    body,
  };
}

function credentialHeaders(
  call: ProviderCall,
  { apiKey, token, credentials }: GoogleCredential,
): Record<string, string> {
  if (apiKey !== "") return { "x-goog-api-key": headerValue(providerId, apiKey) };
  if (token !== "") return { authorization: `Bearer ${headerValue(providerId, token)}` };
  if (credentials === "" && call.baseUrl === "" && call.headers.authorization === undefined) {
    throw authenticationError(
      providerId,
      "no credential for vertex_ai: set vertex_credentials, VERTEXAI_CREDENTIALS or GOOGLE_APPLICATION_CREDENTIALS",
    );
  }
  return {};
}

/** A base address with or without its version; one that names a project already is taken as far as it goes. */
function modelAddress(call: ProviderCall, publisher: Publisher, { apiKey, credentials }: GoogleCredential): string {
  const location = call.settings.vertex_location ?? defaultLocation;
  const project = call.settings.vertex_project ?? projectOf(credentials);
  const base = call.baseUrl === "" ? `https://${hostOf(location)}` : call.baseUrl;
  const model = `publishers/${publisher}/models/${encodeURIComponent(call.model).replace("%40", "@")}`;
  if (base.includes("/projects/")) return base.includes("/models/") ? base : `${base}/${model}`;
  const root = /\/v\d+[a-z0-9]*$/.test(base) ? base : `${base}/${version}`;
  if (project !== "") {
    return `${root}/projects/${encodeURIComponent(project)}/locations/${encodeURIComponent(location)}/${model}`;
  }
  // A key belongs to a project by itself.
  if (apiKey !== "") return `${root}/${model}`;
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
