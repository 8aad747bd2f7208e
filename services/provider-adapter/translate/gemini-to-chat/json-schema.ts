import type { JsonObject, JsonValue } from "../../provider.ts";
import { isObject, listOf, objectOf, objectsOf, textOf } from "../json-reading.ts";
import { camelCased } from "./spelling.ts";

/** Keywords of Google's `Schema` that hold a count, which protobuf's JSON may write as a text. */
const counts = new Set(["maxItems", "minItems", "maxLength", "minLength", "maxProperties", "minProperties"]);
/** Keywords that JSON schema does not have, and that change nothing in what is valid. */
const dropped = new Set(["propertyOrdering", "example", "nullable"]);

/**
 * Turns a `Schema` of Google's, https://ai.google.dev/api/caching#Schema, into a JSON schema: the types' names become
 * small, `nullable` another type. One that is a JSON schema already stays the same.
 */
export function jsonSchema(google: JsonObject): JsonObject {
  const schema = camelCased(google);
  const result: JsonObject = {};
  for (const [keyword, value] of Object.entries(schema)) {
    if (dropped.has(keyword)) continue;
    // Its only use is to say that a text is an enum.
    if (keyword === "format" && value === "enum") continue;
    result[keyword] = convert(keyword, value);
  }
  if (result.type === "type_unspecified") delete result.type;
  return schema.nullable === true ? nullable(result) : result;
}

function convert(keyword: string, value: JsonValue): JsonValue {
  if (keyword === "type") return typeof value === "string" ? value.toLowerCase() : value;
  if (keyword === "properties" || keyword === "$defs" || keyword === "defs") {
    return Object.fromEntries(Object.entries(objectOf(value)).map(([name, own]) => [name, convertSchema(own)]));
  }
  if (keyword === "items" || keyword === "additionalProperties") return convertSchema(value);
  if (keyword === "anyOf" || keyword === "prefixItems") return listOf(value).map(convertSchema);
  return counts.has(keyword) && typeof value === "string" ? Number(value) : value;
}

function convertSchema(value: JsonValue): JsonValue {
  return isObject(value) ? jsonSchema(value) : value;
}

function nullable(schema: JsonObject): JsonObject {
  if (Array.isArray(schema.anyOf)) return { ...schema, anyOf: [...schema.anyOf, { type: "null" }] };
  const options: JsonObject = Array.isArray(schema.enum) ? { enum: [...schema.enum, null] } : {};
  return typeof schema.type === "string" ? { ...schema, ...options, type: [schema.type, "null"] } : schema;
}

/**
 * A schema as OpenAI's structured outputs want it: Gemini never adds members to an object either. `strict` is true where
 * every member of every object is required, the other thing that they want.
 * https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
 */
export function closedSchema(schema: JsonObject): { readonly schema: JsonObject; readonly strict: boolean } {
  let strict = true;
  const close = (value: JsonValue): JsonValue => {
    if (Array.isArray(value)) return value.map(close);
    if (!isObject(value)) return value;
    const closed: JsonObject = {};
    for (const [keyword, own] of Object.entries(value)) closed[keyword] = close(own);
    if (!isObject(value.properties) || !isObjectType(value)) return closed;
    const required = new Set(listOf(value.required).map(textOf));
    strict &&= Object.keys(value.properties).every((name) => required.has(name));
    closed.additionalProperties ??= false;
    strict &&= closed.additionalProperties === false;
    return closed;
  };
  return { schema: objectOf(close(schema)), strict: strict && schema.type === "object" && isTyped(schema) };
}

function isObjectType({ type }: JsonObject): boolean {
  return type === "object" || (Array.isArray(type) && type.includes("object"));
}

/** An object without any named member, which strict outputs cannot hold, is one that anything may stand in. */
function isTyped(schema: JsonObject): boolean {
  if (schema.type === "object" && !isObject(schema.properties)) return false;
  const inner = [schema.items ?? null, ...Object.values(objectOf(schema.properties)), ...objectsOf(schema.anyOf)];
  return inner.every((own) => !isObject(own) || isTyped(own));
}
