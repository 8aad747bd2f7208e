import type { JsonObject, JsonValue } from "../../provider.ts";
import { isObject } from "../json-reading.ts";

/** Keywords of `responseJsonSchema` and `parametersJsonSchema`. https://ai.google.dev/api/generate-content#GenerationConfig */
const kept = new Set([
  "$anchor",
  "$defs",
  "$id",
  "$ref",
  "additionalProperties",
  "anyOf",
  "description",
  "enum",
  "format",
  "items",
  "maxItems",
  "maximum",
  "minItems",
  "minimum",
  "prefixItems",
  "properties",
  "propertyOrdering",
  "required",
  "title",
  "type",
]);
/** Keywords that mean nothing to a model. */
const dropped = new Set(["$schema", "$comment", "strict", "readOnly", "writeOnly", "deprecated"]);

/**
 * Fits a JSON schema to what Gemini accepts: `definitions` becomes `$defs`, `oneOf` becomes `anyOf`, `const` an `enum` of one, and
 * every other keyword that Gemini does not know (`pattern`, `default`, `maxLength`, …) moves into the description, so
 * that the model still reads it.
 */
export function geminiSchema(schema: JsonObject): JsonObject {
  const result: JsonObject = {};
  const moved: string[] = [];
  for (const [keyword, value] of Object.entries(schema)) {
    if (dropped.has(keyword)) continue;
    if (keyword === "oneOf") result.anyOf = fitEach(value);
    else if (keyword === "const") result.enum = [value];
    else if (keyword === "definitions") result.$defs = fitMembers(value);
    else if (keyword === "allOf" && Array.isArray(value) && value.length === 1)
      Object.assign(result, fit(value[0] ?? {}));
    else if (kept.has(keyword)) result[keyword] = fitKeyword(keyword, value);
    else moved.push(`${keyword}: ${JSON.stringify(value)}`);
  }
  if (moved.length > 0) {
    const own = typeof result.description === "string" ? `${result.description}\n\n` : "";
    result.description = `${own}{${moved.join(", ")}}`;
  }
  return result;
}

function fitKeyword(keyword: string, value: JsonValue): JsonValue {
  switch (keyword) {
    case "properties":
    case "$defs":
      return fitMembers(value);
    case "$ref":
      return typeof value === "string" ? value.replace(/^#\/definitions\//, "#/$defs/") : value;
    case "items":
    case "additionalProperties":
      return fit(value);
    case "anyOf":
    case "prefixItems":
      return fitEach(value);
    default:
      return value;
  }
}

function fitMembers(value: JsonValue): JsonValue {
  return isObject(value) ? Object.fromEntries(Object.entries(value).map(([name, own]) => [name, fit(own)])) : value;
}

function fitEach(value: JsonValue): JsonValue {
  return Array.isArray(value) ? value.map(fit) : value;
}

function fit(value: JsonValue): JsonValue {
  return isObject(value) ? geminiSchema(value) : value;
}
