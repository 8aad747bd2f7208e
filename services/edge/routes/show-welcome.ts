import type { HttpCall } from "../http-call.ts";

const page = `Sluice: an OpenAI-compatible gateway for LLM providers.

POST /v1/chat/completions   POST /v1/messages     POST /v1/responses
POST /v1/completions        POST /v1/embeddings   GET  /v1/models
POST /v1beta/models/{model}:generateContent
GET  /health/readiness      GET  /metrics

Point an OpenAI client's base URL at this address, with /v1 behind it, an Anthropic client's without,
and use a key of this gateway: Authorization: Bearer sk-...
`;

export function showWelcome(call: HttpCall): void {
  call.send(200, "text/plain; charset=utf-8", page);
}
