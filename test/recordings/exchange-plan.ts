import type { ScriptedAnswer } from "#chassis/testing/fake-upstream.ts";
import type { JsonObject } from "../../services/provider-adapter/provider.ts";
import {
  isObject,
  listOf,
  numberOf,
  objectOf,
  parseObject,
  textOf,
  without,
} from "../../services/provider-adapter/translate/json-reading.ts";
import { readResponses } from "./recorded-candidates.ts";
import { isGenerateContent, type RecordedUpstream, upstreamOf } from "./recorded-upstream.ts";
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
  readonly upstream: RecordedUpstream;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: JsonObject;
  /** The body that the provider has to receive; undefined where none was recorded. */
  readonly recordedBody: JsonObject | undefined;
  /** The client wants the stream as one JSON array. */
  readonly asArray: boolean;
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
  rerank: { path: "/v1/rerank", minimal: { query: "Hello", documents: ["Hello"] } },
  "gemini.generateContent": { path: "/v1beta/models/", minimal: { contents: [{ parts: [{ text: "Hello" }] }] } },
  "gemini.streamGenerateContent": { path: "/v1beta/models/", minimal: { contents: [{ parts: [{ text: "Hello" }] }] } },
  count_tokens: { path: "/v1/messages/count_tokens", minimal: { messages: [{ role: "user", content: "Hello" }] } },
  messages: { path: "/v1/messages", minimal: { max_tokens: 1024, messages: [{ role: "user", content: "Hello" }] } },
};

/** Why exchanges are left out, but for those that their provider replays alone. */
const leftOut: Readonly<Record<string, string>> = {
  "cohere.generate": "Cohere is spoken to over chat of version 2",
  "cohere.v1.chat": "the first version of chat is Cohere's former one, and Writer's own",
  "gemini.embedContent": "AI Studio is asked for several embeddings at once, over batchEmbedContents",
  "ollama.generate": "Ollama is spoken to over chat",
  other: "the provider's own, which the gateway does not offer",
  "other-openai": "conversations, vector stores, fine-tuning: the gateway does not offer them",
};

/** Client headers that belong to a dialect and pass to the provider. */
const dialectHeaders = ["anthropic-version", "anthropic-beta", "openai-beta", "openai-organization", "openai-project"];

/** The name under which a client asks for an exchange: every exchange is a deployment of its own. */
export function modelNameOf({ id }: Recording): string {
  return `exchange-${id}`;
}

export function planExchange(recorded: Recording): Plans {
  const recording = isGenerateContent(recorded.endpoint) ? asEvents(recorded) : recorded;
  // Errors of which nobody wrote down what they answered are chat's.
  const endpoint = recording.endpoint === "error" ? "chat.completions" : recording.endpoint;
  const skipped = skippedBecause(recording, endpoint);
  if (skipped !== undefined) return { skipped };
  const upstream = upstreamOf(recording, endpoint);
  if (upstream === undefined && endpoint === "count_tokens") return { skipped: "its tokens are estimated" };
  if (upstream === undefined) return { skipped: `the provider's row in the catalog has no ${endpoint}` };
  const body = textOf(recording.request.body);
  const recordedBody = body === "" ? undefined : parseObject(body);
  if (body !== "" && recordedBody === undefined) return { skipped: "the recorded request is not a JSON object" };
  const native = plan(recording, upstream, endpoint, recordedBody);
  if (isGenerateContent(endpoint)) return [googlePlan(native, recorded)];
  if (endpoint !== "messages") return [native];
  return [native, { ...plan(recording, upstream, "chat.completions", undefined), translated: true }];
}

function skippedBecause({ response, provider }: Recording, endpoint: string): string | undefined {
  if (endpoint === "models") return "the gateway lists models itself";
  if (endpoints[endpoint] === undefined) return leftOut[endpoint] ?? `the gateway has no endpoint for ${endpoint}`;
  if (typeof response.body !== "string") return "the recorded answer is not text";
  if (provider === "portkey-gateway" && endpoint === "completions") return "the prompt lies at the provider";
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
  upstream: RecordedUpstream,
  endpoint: string,
  recordedBody: JsonObject | undefined,
): ExchangePlan {
  return {
    recording,
    endpoint,
    translated: false,
    path: endpoints[endpoint]?.path ?? "",
    upstream,
    headers: recordedBody === undefined ? {} : dialectHeadersOf(recording),
    body: { ...(recordedBody ?? minimalBody(recording, endpoint)), model: modelNameOf(recording) },
    recordedBody,
    asArray: false,
    deliveries: deliveriesOf(recording),
  };
}

/** Google's clients name model and stream in the path alone. */
function googlePlan(native: ExchangePlan, recorded: Recording): ExchangePlan {
  const { recording, body, path } = native;
  const asArray = recorded.response.kind === "json-array-stream";
  const method = isStream(recording) ? `streamGenerateContent${asArray ? "" : "?alt=sse"}` : "generateContent";
  return {
    ...native,
    path: `${path}${modelNameOf(recording)}:${method}`,
    asArray,
    body: without(body, "model", "stream"),
  };
}

/** A stream of Google's is served as events, as the gateway asks for it. */
function asEvents(recording: Recording): Recording {
  const { response } = recording;
  if (response.kind !== "sse" && response.kind !== "json-array-stream") return recording;
  if (response.kind === "sse" && readSse(textOf(response.body)).length > 1) return recording;
  const body = readResponses(recording).map((event) => `data: ${JSON.stringify(event)}\r\n\r\n`);
  const headers = { "content-type": "text/event-stream" };
  return { ...recording, response: { status: 200, kind: "sse", headers, body: body.join("") } };
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

/** 7 bytes, or more where that were too many pieces: each takes a turn of the event loop. */
function pieceSize(body: string): number {
  const mostPieces = 5000;
  return Math.max(7, Math.ceil(Buffer.byteLength(body) / mostPieces));
}

function deliveriesOf({ response }: Recording): Map<string, Delivery> {
  const body = textOf(response.body);
  if (response.kind !== "sse") return new Map([["whole", { body, broken: false }]]);
  const half = Buffer.from(body).subarray(0, Math.floor(Buffer.byteLength(body) / 2));
  const deliveries = new Map<string, Delivery>([
    ["events", { body, chunking: "events", broken: false }],
    ["whole", { body, chunking: "whole", broken: false }],
    ["pieces", { body, chunking: { bytes: pieceSize(body) }, broken: false }],
    ["broken off", { body: half, chunking: "events", ending: "cut", broken: true }],
  ]);
  const pieces = listOf(response.chunks).map((chunk) =>
    typeof chunk === "string" ? chunk : Buffer.from(textOf(objectOf(chunk).base64), "base64"),
  );
  if (pieces.length > 0) deliveries.set("as recorded", { body, chunking: { pieces }, broken: false });
  return deliveries;
}
