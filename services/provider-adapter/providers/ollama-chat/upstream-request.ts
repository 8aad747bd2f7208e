import type { JsonObject, ProviderCall, UpstreamRequest } from "../../provider.ts";

const ownAddress = "http://localhost:11434";

/** Headers that the transport decides, and those of other dialects. */
const notForwarded =
  /^(?:host|connection|content-length|content-type|content-encoding|accept-encoding|openai-.*|anthropic-.*)$/;

/** The HTTP request for a body. A key is for a server behind a gate, or for Ollama's own cloud. */
export function upstreamRequest(call: ProviderCall, body: JsonObject): UpstreamRequest {
  const key = call.credential?.reveal().trim() ?? "";
  const headers: Record<string, string> = key === "" ? {} : { authorization: `Bearer ${key}` };
  for (const [name, value] of Object.entries(call.headers)) {
    if (!notForwarded.test(name)) headers[name] = value;
  }
  headers["content-type"] = "application/json";
  headers.accept = call.stream ? "application/x-ndjson" : "application/json";
  const base = (call.baseUrl === "" ? ownAddress : call.baseUrl).replace(/\/(?:v1|api(?:\/chat)?)$/, "");
  return { method: "POST", url: `${base}/api/chat`, headers, body: Buffer.from(JSON.stringify(body)) };
}
