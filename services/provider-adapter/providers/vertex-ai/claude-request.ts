import { editJson } from "#chassis/json-members.ts";
import type { JsonObject, JsonValue } from "../../provider.ts";
import { decodeText, isObject, parseObject } from "../../translate/json-reading.ts";

/**
 * Anthropic's betas that Vertex AI takes; any other makes it refuse the call, so it is left out. Agents send what
 * Anthropic itself knows, and new ones with every release.
 * https://docs.cloud.google.com/vertex-ai/generative-ai/docs/partner-models/claude/use-claude
 */
const known = new Set([
  "computer-use-2025-01-24",
  "computer-use-2025-11-24",
  "context-1m-2025-08-07",
  "context-management-2025-06-27",
  "interleaved-thinking-2025-05-14",
  "output-128k-2025-02-19",
  "token-efficient-tools-2025-02-19",
  "tool-search-tool-2025-10-19",
  "web-search-2025-03-05",
]);

/** Of a header `anthropic-beta`, what Vertex AI takes; undefined where that is nothing. */
export function vertexBetas(header: string | undefined): string | undefined {
  const betas = (header ?? "").split(",").map((beta) => beta.trim());
  const taken = betas.filter((beta) => known.has(beta)).join(",");
  return taken === "" ? undefined : taken;
}

/**
 * A Messages body as Vertex AI takes it: the model stands in the address, the API's version in the body. What belongs to
 * a beta that Vertex AI does not have (the `scope` of a cache mark) is taken out.
 */
export function claudeBody(body: Uint8Array): Uint8Array {
  return editJson(withoutScopes(body), {
    remove: ["model"],
    setIfAbsent: { anthropic_version: '"vertex-2023-10-16"' },
  });
}

function withoutScopes(body: Uint8Array): Uint8Array {
  if (!Buffer.from(body.buffer, body.byteOffset, body.byteLength).includes('"scope"')) return body;
  const request = parseObject(decodeText(body));
  if (request === undefined) return body;
  const changed: Record<string, string> = {};
  for (const name of ["messages", "system", "tools"]) {
    const value = request[name];
    if (Array.isArray(value)) changed[name] = JSON.stringify(value.map(unscoped));
  }
  return editJson(body, { set: changed });
}

/** A block, tool or message without the scopes of its own marks and of those on the blocks of its content. */
function unscoped(value: JsonValue): JsonValue {
  if (!isObject(value)) return value;
  const copy: JsonObject = { ...value };
  if (isObject(value.cache_control)) {
    const { scope: _, ...mark } = value.cache_control;
    copy.cache_control = mark;
  }
  if (Array.isArray(value.content)) copy.content = value.content.map(unscoped);
  return copy;
}
