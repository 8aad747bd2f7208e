import type { JsonObject, JsonValue } from "../../provider.ts";
import { isObject } from "../json-reading.ts";

/** Keywords that Anthropic's structured outputs take. https://platform.claude.com/docs/en/build-with-claude/structured-outputs */
const kept = new Set([
  "$defs",
  "$ref",
  "$schema",
  "additionalProperties",
  "allOf",
  "anyOf",
  "const",
  "default",
  "definitions",
  "description",
  "enum",
  "format",
  "items",
  "properties",
  "required",
  "title",
  "type",
]);
const formats = new Set(["date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uri", "uuid"]);

/**
 * Fits a JSON schema to what Anthropic's structured outputs accept: objects are closed, `oneOf` becomes `anyOf`, and
 * every constraint that the compiler refuses (`minimum`, `pattern`, `maxItems`, …) moves into the description, so that
 * the model still reads it.
 */
export function outputSchema(schema: JsonObject): JsonObject {
  const result: JsonObject = {};
  const moved: string[] = [];
  for (const [keyword, value] of Object.entries(schema)) {
    if (keyword === "oneOf") result.anyOf = fitEach(value);
    else if (isAccepted(keyword, value)) result[keyword] = fitKeyword(keyword, value);
    else moved.push(`${keyword}: ${JSON.stringify(value)}`);
  }
  if (moved.length > 0) {
    const own = typeof result.description === "string" ? `${result.description}\n\n` : "";
    result.description = `${own}{${moved.join(", ")}}`;
  }
  if (result.type === "object" || isObject(result.properties)) result.additionalProperties = false;
  return result;
}

function isAccepted(keyword: string, value: JsonValue): boolean {
  if (keyword === "format") return typeof value === "string" && formats.has(value);
  if (keyword === "minItems") return value === 0 || value === 1;
  return kept.has(keyword);
}

function fitKeyword(keyword: string, value: JsonValue): JsonValue {
  switch (keyword) {
    case "properties":
    case "$defs":
    case "definitions":
      return isObject(value) ? Object.fromEntries(Object.entries(value).map(([name, own]) => [name, fit(own)])) : value;
    case "items":
      return fit(value);
    case "anyOf":
    case "allOf":
      return fitEach(value);
    default:
      return value;
  }
}

function fitEach(value: JsonValue): JsonValue {
  return Array.isArray(value) ? value.map(fit) : value;
}

function fit(value: JsonValue): JsonValue {
  return isObject(value) ? outputSchema(value) : value;
}
