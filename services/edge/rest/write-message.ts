import { type DescField, type DescMessage, type JsonValue, type Message, ScalarType, toJson } from "@bufbuild/protobuf";
import { FeatureSet_FieldPresence as FieldPresence } from "@bufbuild/protobuf/wkt";
import { Unit } from "#gen/sluice/rest/v1/rest_pb.ts";
import { enumPrefix, fieldRule, isFlattened, isOnlyValue, isWellKnown, messageRule } from "./field-rule.ts";
import { nanoToUsd } from "./usd.ts";

type Json = { [name: string]: JsonValue };

/**
 * Writes a message as LiteLLM's JSON: field names as they are, 64-bit integers as numbers, enum values in lower case
 * without their prefix, the units of the field rules. A field with presence that is absent is left out, or null where its
 * rule says so; any other is written with its default.
 */
export function writeMessage(schema: DescMessage, message: Message): Json {
  return adjustMembers(schema, toJson(schema, message, { useProtoFieldName: true }));
}

/** `nulls`: whether the message that this one is flattened into writes absent fields as null. */
function adjustMembers(schema: DescMessage, json: JsonValue, nulls = false): Json {
  const adjusted: Json = {};
  const allNull = nulls || messageRule(schema).nullWhenAbsent;
  for (const field of schema.fields) {
    const value = isJsonObject(json) ? json[field.name] : undefined;
    if (isFlattened(field)) {
      Object.assign(adjusted, adjustMembers(field.message, value ?? {}, allNull));
      continue;
    }
    const written = value === undefined ? absent(field, allNull) : adjust(field, value);
    if (written !== undefined) adjusted[field.name] = written;
  }
  return adjusted;
}

function adjust(field: DescField, value: JsonValue): JsonValue {
  if (field.fieldKind === "list" && Array.isArray(value)) return value.map((item) => adjustItem(field, item));
  if (field.fieldKind === "map" && isJsonObject(value)) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, adjustItem(field, item)]));
  }
  return adjustItem(field, value);
}

function adjustItem(field: DescField, value: JsonValue): JsonValue {
  const { unit } = fieldRule(field);
  if (typeof value === "string") {
    if (unit === Unit.USD) return nanoToUsd(BigInt(value));
    if (unit === Unit.JSON) return JSON.parse(Buffer.from(value, "base64").toString());
    if (field.enum !== undefined) return value.replace(enumPrefix(field.enum), "").toLowerCase();
    return isLong(field.scalar) ? Number(value) : value;
  }
  if (field.message === undefined || isWellKnown(field.message.typeName)) return value;
  return isOnlyValue(field.message) ? onlyValue(field.message, value) : adjustMembers(field.message, value);
}

function onlyValue(schema: DescMessage, json: JsonValue): JsonValue {
  const field = schema.fields.find(({ name }) => isJsonObject(json) && json[name] !== undefined);
  return field === undefined || !isJsonObject(json) ? null : adjust(field, json[field.name] ?? null);
}

function absent(field: DescField, allNull: boolean): JsonValue | undefined {
  const rule = fieldRule(field);
  if (field.fieldKind === "list") return rule.nullWhenAbsent ? null : [];
  if (field.fieldKind !== "map" && (allNull || rule.nullWhenAbsent) && hasPresence(field)) return null;
  if (field.fieldKind === "map" || rule.unit === Unit.JSON) return {};
  if (hasPresence(field)) return undefined;
  if (field.fieldKind === "enum") return adjustItem(field, field.enum.values[0]?.name ?? "");
  if (field.scalar === ScalarType.BOOL) return false;
  return field.scalar === ScalarType.STRING || field.scalar === ScalarType.BYTES ? "" : 0;
}

function hasPresence(field: DescField): boolean {
  return field.fieldKind === "message" || field.presence !== FieldPresence.IMPLICIT;
}

const longs: ReadonlySet<ScalarType | undefined> = new Set([
  ScalarType.INT64,
  ScalarType.UINT64,
  ScalarType.SINT64,
  ScalarType.FIXED64,
  ScalarType.SFIXED64,
]);

function isLong(scalar: ScalarType | undefined): boolean {
  return longs.has(scalar);
}

function isJsonObject(value: JsonValue): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
