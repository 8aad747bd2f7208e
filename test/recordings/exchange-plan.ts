import type { ScriptedAnswer } from "#chassis/testing/fake-upstream.ts";
import type { JsonObject } from "../../services/provider-adapter/provider.ts";
import {
  isObject,
  listOf,
  numberOf,
  objectOf,
  parseObject,
  textOf,
} from "../../services/provider-adapter/translate/json-reading.ts";
import type { Recording } from "./recording.ts";
import { readSse } from "./sse-reading.ts";

/** What a client sends for a recorded exchange, and how the answer is served. */
export interface ExchangePlan {
  readonly recording: Recording;
  /** The endpoint that the client speaks to; not the recorded one where the exchange is translated. */
  readonly endpoint: string;
  /** The provider's endpoint is another one: the answer comes translated, and the request is one of our own. */
  readonly translated: boolean;
  /** The client's path. */
  readonly path: string;
  /** The path below the provider's base address. */
  readonly upstreamPath: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: JsonObject;
  /** The body that the provider has to receive; undefined where none was recorded. */
  readonly recordedBody: JsonObject | undefined;
  /** By its name, each way in which the answer may come over the network. */
  readonly deliveries: ReadonlyMap<string, Delivery>;
}

/** How the recorded body is sent, or as much of it as comes before the connection breaks. */
export interface Delivery extends Pick<ScriptedAnswer, "body" | "chunking" | "ending"> {
  /** The stream breaks off: the client has to be told. */
  readonly broken: boolean;
}

/** One plan for each endpoint over which a client can have an exchange, or why it is left out. */
export type Plans = readonly ExchangePlan[] | { readonly skipped: string };

/** The endpoints that are replayed: their paths, and the least that a client may ask. */
const endpoints: Readonly<Record<string, { readonly path: string; readonly minimal: JsonObject }>> = {
  "chat.completions": { path: "/v1/chat/completions", minimal: { messages: [{ role: "user", content: "Hello" }] } },
  completions: { path: "/v1/completions", minimal: { prompt: "Hello" } },
  embeddings: { path: "/v1/embeddings", minimal: { input: "Hello" } },
  responses: { path: "/v1/responses", minimal: { input: "Hello" } },
  messages: { path: "/v1/messages", minimal: { max_tokens: 1024, messages: [{ role: "user", content: "Hello" }] } },
};

/** Client headers that belong to a dialect and pass to the provider. */
const dialectHeaders = ["anthropic-version", "anthropic-beta", "openai-beta", "openai-organization", "openai-project"];

/** The name under which a client asks for an exchange: every exchange is a deployment of its own. */
export function modelNameOf({ id }: Recording): string {
  return `exchange-${id}`;
}

/** The model as the provider was asked for it. */
export function upstreamModelOf({ request, model, provider }: Recording): string {
  return textOf(parseObject(textOf(request.body))?.model) || model || `${provider}-model`;
}

export function planExchange(recording: Recording): Plans {
  // Errors of which nobody wrote down what they answered are chat's.
  const endpoint = recording.endpoint === "error" ? "chat.completions" : recording.endpoint;
  const skipped = skippedBecause(recording, endpoint);
  if (skipped !== undefined) return { skipped };
  const body = textOf(recording.request.body);
  const recordedBody = body === "" ? undefined : parseObject(body);
  if (body !== "" && recordedBody === undefined) return { skipped: "the recorded request is not a JSON object" };
  const native = plan(recording, endpoint, endpoint, recordedBody);
  return endpoint === "messages" ? [native, plan(recording, "chat.completions", endpoint, undefined)] : [native];
}

function skippedBecause({ response, provider }: Recording, endpoint: string): string | undefined {
  if (endpoint === "models") return "the gateway lists models itself";
  if (endpoints[endpoint] === undefined) return `the gateway has no endpoint for ${endpoint}`;
  if (typeof response.body !== "string") return "the recorded answer is not text";
  if (provider === "ollama" && endpoint === "embeddings" && parseObject(response.body)?.embeddings !== undefined) {
    return "the answer is one of Ollama's own API, /api/embed";
  }
  const closings = readSse(response.kind === "sse" ? response.body : "").filter(
    ({ name }) => name === "response.completed",
  );
  return closings.length > 1 ? "the recording holds two answers in one stream" : undefined;
}

function plan(
  recording: Recording,
  endpoint: string,
  upstreamEndpoint: string,
  recordedBody: JsonObject | undefined,
): ExchangePlan {
  return {
    recording,
    endpoint,
    translated: endpoint !== upstreamEndpoint,
    path: endpoints[endpoint]?.path ?? "",
    upstreamPath: endpoints[upstreamEndpoint]?.path ?? "",
    headers: recordedBody === undefined ? {} : dialectHeadersOf(recording),
    body: { ...(recordedBody ?? minimalBody(recording, endpoint)), model: modelNameOf(recording) },
    recordedBody,
    deliveries: deliveriesOf(recording),
  };
}

function minimalBody(recording: Recording, endpoint: string): JsonObject {
  const body: JsonObject = { ...endpoints[endpoint]?.minimal };
  // An answer of 400 or more is no stream, whatever was asked for.
  if (!isStream(recording)) return body;
  body.stream = true;
  if (endpoint.endsWith("completions") && carriesUsage(recording)) body.stream_options = { include_usage: true };
  return body;
}

/** Whether the recorded stream holds what only a client that asked for usage gets. */
function carriesUsage({ response, endpoint }: Recording): boolean {
  if (endpoint === "messages") return true;
  return readSse(textOf(response.body)).some(({ data }) => {
    const { choices, usage } = isObject(data) ? data : {};
    return isObject(usage) && listOf(choices).length === 0;
  });
}

function dialectHeadersOf({ request }: Recording): Record<string, string> {
  return Object.fromEntries(
    Object.entries(objectOf(request.headers))
      .map(([name, value]) => [name.toLowerCase(), textOf(value)] as const)
      .filter(([name, value]) => dialectHeaders.includes(name) && value !== ""),
  );
}

export function isStream({ response }: Recording): boolean {
  return response.kind === "sse";
}

export function statusOf({ response }: Recording): number {
  return numberOf(response.status);
}

function deliveriesOf({ response }: Recording): Map<string, Delivery> {
  const body = textOf(response.body);
  if (response.kind !== "sse") return new Map([["whole", { body, broken: false }]]);
  const half = Buffer.from(body).subarray(0, Math.floor(Buffer.byteLength(body) / 2));
  const deliveries = new Map<string, Delivery>([
    ["events", { body, chunking: "events", broken: false }],
    ["whole", { body, chunking: "whole", broken: false }],
    ["7 bytes", { body, chunking: { bytes: 7 }, broken: false }],
    ["broken off", { body: half, chunking: "events", ending: "cut", broken: true }],
  ]);
  const pieces = listOf(response.chunks).map((chunk) =>
    typeof chunk === "string" ? chunk : Buffer.from(textOf(objectOf(chunk).base64), "base64"),
  );
  if (pieces.length > 0) deliveries.set("as recorded", { body, chunking: { pieces }, broken: false });
  return deliveries;
}
