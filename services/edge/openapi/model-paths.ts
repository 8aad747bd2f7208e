import type { JsonSchema } from "./json-schema.ts";

interface ModelPath {
  readonly path: string;
  readonly method: "get" | "post";
  readonly summary: string;
  /** Where the shape of the request is described: it is the dialect's own. */
  readonly reference?: string;
  readonly example?: JsonSchema;
}

const hello = [{ role: "user", content: "Hello!" }];

const list: readonly ModelPath[] = [
  {
    path: "/v1/chat/completions",
    method: "post",
    summary: "Chat completion",
    reference: "https://platform.openai.com/docs/api-reference/chat/create",
    example: { model: "mock/echo", messages: hello },
  },
  {
    path: "/v1/messages",
    method: "post",
    summary: "Message, in Anthropic's dialect",
    reference: "https://docs.anthropic.com/en/api/messages",
    example: { model: "mock/echo", max_tokens: 100, messages: hello },
  },
  {
    path: "/v1/messages/count_tokens",
    method: "post",
    summary: "Count the tokens of a message",
    reference: "https://docs.anthropic.com/en/api/messages-count-tokens",
    example: { model: "mock/echo", messages: hello },
  },
  {
    path: "/v1/responses",
    method: "post",
    summary: "Response",
    reference: "https://platform.openai.com/docs/api-reference/responses/create",
    example: { model: "gpt-4o", input: "Hello!" },
  },
  {
    path: "/v1/completions",
    method: "post",
    summary: "Text completion",
    reference: "https://platform.openai.com/docs/api-reference/completions/create",
    example: { model: "gpt-3.5-turbo-instruct", prompt: "Hello" },
  },
  {
    path: "/v1/embeddings",
    method: "post",
    summary: "Embeddings",
    reference: "https://platform.openai.com/docs/api-reference/embeddings/create",
    example: { model: "text-embedding-3-small", input: "Hello" },
  },
  {
    path: "/v1/rerank",
    method: "post",
    summary: "Rerank, in Cohere's form",
    reference: "https://docs.cohere.com/reference/rerank",
    example: { model: "cohere/rerank-v3.5", query: "capital", documents: ["Paris", "a cat"] },
  },
  {
    path: "/v1beta/models/{model}:generateContent",
    method: "post",
    summary: "Generate content, in Google's dialect; streamGenerateContent and countTokens likewise",
    reference: "https://ai.google.dev/api/generate-content",
    example: { contents: [{ role: "user", parts: [{ text: "Hello!" }] }] },
  },
  {
    path: "/v1beta/models/{model}:embedContent",
    method: "post",
    summary: "Embeddings, in Google's dialect; batchEmbedContents likewise",
    reference: "https://ai.google.dev/api/embeddings",
    example: { content: { parts: [{ text: "Hello!" }] } },
  },
  { path: "/v1/models", method: "get", summary: "Models that the key may use" },
  { path: "/public/providers", method: "get", summary: "Providers that this release knows" },
  { path: "/health/liveliness", method: "get", summary: "Whether the process lives" },
  { path: "/health/readiness", method: "get", summary: "Whether the process may get calls" },
];

/** The paths whose bodies are the dialects' own: they are described where the dialect is. */
export function modelPaths(): Record<string, Record<string, JsonSchema>> {
  return Object.fromEntries(list.map((entry) => [entry.path, { [entry.method]: describe(entry) }]));
}

function describe({ path, method, summary, reference, example }: ModelPath): JsonSchema {
  return {
    operationId: `${method}${path.replace(/\W+/g, "_")}`,
    tags: [path.startsWith("/v1/") ? "Models" : "Gateway"],
    summary,
    ...(reference === undefined ? {} : { externalDocs: { url: reference } }),
    ...(example === undefined
      ? {}
      : { requestBody: { required: true, content: { "application/json": { schema: { type: "object" }, example } } } }),
    responses: { 200: { description: "OK" } },
  };
}
