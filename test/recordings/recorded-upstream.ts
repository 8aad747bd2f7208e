import { openAiRows } from "#catalog/catalog.ts";
import type { JsonObject } from "../../services/provider-adapter/provider.ts";
import { huggingFaceRow } from "../../services/provider-adapter/providers/huggingface/huggingface-row.ts";
import { snowflakeRow } from "../../services/provider-adapter/providers/snowflake/snowflake-row.ts";
import { parseObject, textOf } from "../../services/provider-adapter/translate/json-reading.ts";
import type { Recording } from "./recording.ts";

/** Under which name the gateway knows the provider of an exchange, and where it expects it. */
export interface RecordedUpstream {
  /** The part of a deployment's model name before the slash. */
  readonly prefix: string;
  /** The provider as errors name it. */
  readonly id: string;
  /** Below the exchange's own address: the base that is configured. */
  readonly base: string;
  /** Below the exchange's own address: where the request has to arrive, with the query where that was recorded. */
  readonly path: string;
  readonly keyHeader: "authorization" | "x-api-key" | "api-key" | "x-goog-api-key";
  /** Of `litellm_params`. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** Recorded providers whose name in the catalog is another; a server that the catalog does not list is called `openai`. */
const prefixes: Readonly<Record<string, string>> = {
  alibaba: "dashscope",
  avian: "openai",
  bedrock: "openai",
  "bedrock-mantle": "bedrock_mantle",
  chatgpt: "chatgpt",
  copilot: "github_copilot",
  doubleword: "openai",
  gpustack: "openai",
  "litellm-gateway": "litellm_proxy",
  llamacpp: "openai",
  lmstudio: "openai",
  mistralrs: "openai",
  "openai-compatible": "openai",
  "portkey-gateway": "openai",
  together: "together_ai",
  "vercel-gateway": "vercel_ai_gateway",
  watsonx: "openai",
  writer: "openai",
};

const operations = {
  "chat.completions": "chat_completions",
  completions: "completions",
  embeddings: "embeddings",
  responses: "responses",
} as const;

/** With those that have code of their own and speak OpenAI's format for chats. */
const rows = new Map(
  [...openAiRows(), huggingFaceRow, snowflakeRow].flatMap((row) =>
    [row.id, ...row.aliases].map((name) => [name, row] as const),
  ),
);

/** Where the gateway finds an exchange's provider; undefined where it knows none that has the endpoint. */
export function upstreamOf(recording: Recording, endpoint: string): RecordedUpstream | undefined {
  const { provider, request } = recording;
  if (provider === "azure") return azureUpstream(recording, endpoint);
  if (isGenerateContent(endpoint)) return googleUpstream(recording);
  if (provider === "anthropic" && endpoint === "messages") {
    return { prefix: provider, id: provider, base: "/v1", path: "/v1/messages", keyHeader: "x-api-key" };
  }
  if (provider === "anthropic" && endpoint === "count_tokens") {
    const path = "/v1/messages/count_tokens";
    return { prefix: provider, id: provider, base: "/v1", path, keyHeader: "x-api-key" };
  }
  if (provider === "cohere" && endpoint === "rerank") {
    return { prefix: provider, id: provider, base: "", path: pathOf(request), keyHeader: "authorization" };
  }
  const prefix = prefixes[provider] ?? provider;
  const row = rows.get(prefix);
  const operation = Object.entries(operations).find(([name]) => name === endpoint)?.[1];
  const path = operation === undefined ? undefined : row?.paths[operation];
  if (row === undefined || path === undefined) return undefined;
  return { prefix, id: row.id, ...recordedPlace(pathOf(request), path, row.root_path), keyHeader: "authorization" };
}

/**
 * The recorded path, and what it has before the row's own, which has to be its end. Where no path was recorded, or one
 * without the root that the gateway would add, any place will do.
 */
function recordedPlace(recorded: string, path: string, rootPath = ""): Pick<RecordedUpstream, "base" | "path"> {
  const isRowPath = recorded.endsWith(`/${path}`);
  const base = isRowPath ? recorded.slice(0, -path.length - 1) : "/v1";
  return recorded === "" || !base.endsWith(rootPath) ? { base: "/v1", path: `/v1/${path}` } : { base, path: recorded };
}

/** Recorders may have left the host out, or written a variable's name for it. */
function pathOf({ url }: JsonObject): string {
  if (url === undefined) return "";
  const { pathname = "" } = URL.parse(textOf(url), "http://recorded") ?? {};
  return pathname.replace("//", "/");
}

/**
 * A resource of Azure OpenAI, or Claude in one of Azure AI Foundry. Foundry's other addresses are told by their host, which
 * cannot be a local one: they are replayed through the provider alone.
 */
function azureUpstream({ request }: Recording, endpoint: string): RecordedUpstream | undefined {
  const path = pathOf(request);
  if (endpoint === "messages") {
    return path.startsWith("/anthropic/")
      ? { prefix: "azure_ai", id: "azure_ai", base: "", path: "/anthropic/v1/messages", keyHeader: "x-api-key" }
      : undefined;
  }
  if (!path.startsWith("/openai/")) return undefined;
  const { search = "", searchParams } = URL.parse(textOf(request.url)) ?? {};
  const isUndated = path.startsWith("/openai/v1/");
  const version =
    searchParams?.get("api-version") ?? (path.startsWith("/openai/responses") ? "2025-04-01-preview" : "");
  return {
    prefix: "azure",
    id: "azure",
    base: isUndated ? "/openai/v1" : "",
    path: `${path}${search}`,
    keyHeader: "api-key",
    ...(version === "" ? {} : { settings: { api_version: version } }),
  };
}

/** Whether an endpoint is one of Google's own dialect. */
export function isGenerateContent(endpoint: string): boolean {
  return endpoint === "gemini.generateContent" || endpoint === "gemini.streamGenerateContent";
}

/** Streams are always asked for as events, however the client wants them. A project of our own stands in for the recorded one. */
function googleUpstream(recording: Recording): RecordedUpstream | undefined {
  const { provider, request, response } = recording;
  const method = response.kind === "sse" ? "streamGenerateContent?alt=sse" : "generateContent";
  const place = `models/${upstreamModelOf(recording).replace(/^models\//, "")}:${method}`;
  if (provider === "gemini") {
    return { prefix: provider, id: provider, base: "", path: `/v1beta/${place}`, keyHeader: "x-goog-api-key" };
  }
  if (provider !== "vertex") return undefined;
  const [base = "/v1beta1"] = /^\/v\d\w*/.exec(pathOf(request)) ?? [];
  return {
    prefix: "vertex_ai",
    id: "vertex_ai",
    base,
    path: `${base}/projects/p/locations/global/publishers/google/${place}`,
    keyHeader: "authorization",
    settings: { vertex_project: "p", vertex_location: "global" },
  };
}

/** The model as the provider was asked for it. */
export function upstreamModelOf({ request, model, provider }: Recording): string {
  const [, deployment = ""] = /^\/openai\/deployments\/([^/]+)/.exec(pathOf(request)) ?? [];
  if (deployment !== "") return deployment;
  return textOf(parseObject(textOf(request.body))?.model) || model || `${provider}-model`;
}
