import {
  create,
  type DescEnum,
  type DescField,
  type DescMessage,
  type JsonValue,
  type Message,
  mergeFromJson,
  ScalarType,
} from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import { FieldMaskSchema } from "@bufbuild/protobuf/wkt";
import { ConnectError } from "@connectrpc/connect";
import { Unit } from "#gen/sluice/rest/v1/rest_pb.ts";
import { invalidRequest, isObject, type JsonObject } from "../body-json.ts";
import { enumPrefix, fieldRule, isFlattened, isWellKnown, messageRule } from "./field-rule.ts";
import { refuseUnbuilt } from "./read-input.ts";
import { usdToNano } from "./usd.ts";

/**
 * Reads a message from LiteLLM's JSON: protobuf's mapping with field names as they are, plus the field rules of
 * `sluice.rest.v1` and enum values without their prefix. Members that the message does not have are ignored, as LiteLLM
 * does; null is the same as absent. A field `update_mask` gets the paths of all members that the JSON names, those that
 * are null too: an update sets the former and clears the latter.
 *
 * @throws INVALID_REQUEST that names the field at fault.
 */
export function readMessage(schema: DescMessage, input: JsonObject): Message {
  refuseUnbuiltMembers(schema, input);
  const message = create(schema);
  for (const field of schema.fields) {
    if (isFlattened(field)) {
      if (givenPaths(field.message, input).length > 0) setMessage(message, field, readMessage(field.message, input));
    } else if (isUpdateMask(field)) {
      setMessage(message, field, create(FieldMaskSchema, { paths: givenPaths(schema, input) }));
    } else {
      readField(schema, message, field, input);
    }
  }
  return message;
}

function readField(schema: DescMessage, message: Message, field: DescField, input: JsonObject): void {
  const value = Object.hasOwn(input, field.name) ? input[field.name] : undefined;
  if (value === null || value === undefined) return;
  try {
    mergeFromJson(schema, message, { [field.name]: adjust(field, value) }, { ignoreUnknownFields: true });
  } catch (error) {
    // A member of a message in a list, say: it names itself.
    if (error instanceof ConnectError) throw error;
    throw invalidRequest(`'${field.name}' must be ${expected(field)}.`, field.name);
  }
}

/** Refuses what the message, and those flattened into it, name as not built. */
function refuseUnbuiltMembers(schema: DescMessage, input: JsonObject): void {
  refuseUnbuilt(messageRule(schema), input);
  for (const field of schema.fields) if (isFlattened(field)) refuseUnbuiltMembers(field.message, input);
}

/** Where the members of the JSON are in the message: `key`, `settings.limits.max_budget`. */
function givenPaths(schema: DescMessage, input: JsonObject): string[] {
  return schema.fields.flatMap((field) => {
    if (isFlattened(field)) return givenPaths(field.message, input).map((path) => `${field.name}.${path}`);
    return Object.hasOwn(input, field.name) ? [field.name] : [];
  });
}

function isUpdateMask(field: DescField): boolean {
  return field.name === "update_mask" && field.message?.typeName === FieldMaskSchema.typeName;
}

function setMessage(message: Message, field: DescField, value: Message): void {
  if (field.message !== undefined) reflect(field.parent, message).set(field, reflect(field.message, value));
}

/** The value as protobuf's own JSON mapping has it. Throws where that cannot be. */
function adjust(field: DescField, value: unknown): JsonValue {
  const adjustOne = (item: unknown) => adjustItem(field, item);
  if (field.fieldKind === "list") {
    // LiteLLM takes one object where it takes a list of them.
    const items = isObject(value) && field.message !== undefined ? [value] : value;
    if (!Array.isArray(items)) throw new TypeError("no list");
    return items.map(adjustOne);
  }
  if (field.fieldKind !== "map") return adjustOne(value);
  if (!isObject(value)) throw new TypeError("no object");
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, adjustOne(item)]));
}

function adjustItem(field: DescField, value: unknown): JsonValue {
  const { unit } = fieldRule(field);
  if (unit === Unit.JSON) return Buffer.from(JSON.stringify(value)).toString("base64");
  if (unit === Unit.USD) return usdText(value);
  if (field.enum !== undefined) return enumName(field.enum, value);
  if (field.message !== undefined && !isWellKnown(field.message.typeName)) return adjustMembers(field.message, value);
  return toJsonValue(value);
}

/** Checked here: protobuf's mapping would take an unknown value for an unknown field and ignore it. */
function enumName(desc: DescEnum, value: unknown): string {
  const name = String(value).toUpperCase();
  const prefix = enumPrefix(desc);
  const full = name.startsWith(prefix) ? name : prefix + name;
  if (!desc.values.some((known) => known.name === full)) throw new TypeError("no such value");
  return full;
}

function adjustMembers(schema: DescMessage, value: unknown): JsonValue {
  const { textField } = messageRule(schema);
  if (typeof value === "string" && textField !== "") return adjustMembers(schema, { [textField]: value });
  if (!isObject(value)) throw new TypeError("no object");
  refuseUnbuiltMembers(schema, value);
  const adjusted: { [name: string]: JsonValue } = {};
  for (const field of schema.fields) {
    if (isFlattened(field)) {
      adjusted[field.name] = adjustMembers(field.message, value);
      continue;
    }
    const member = Object.hasOwn(value, field.name) ? value[field.name] : undefined;
    if (member !== undefined && member !== null) adjusted[field.name] = adjust(field, member);
    if (isUpdateMask(field)) adjusted[field.name] = maskJson(givenPaths(schema, value));
  }
  return adjusted;
}

/** A mask in protobuf's JSON mapping is one text of paths in lowerCamelCase. */
function maskJson(paths: readonly string[]): string {
  return paths.map((path) => path.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase())).join(",");
}

function usdText(value: unknown): string {
  const nano = usdToNano(value);
  if (nano === undefined) throw new TypeError("no amount");
  return nano.toString();
}

/** What JSON.parse has made, or a text of the query: both are JSON values. */
function toJsonValue(value: unknown): JsonValue {
  return value as JsonValue;
}

function expected(field: DescField): string {
  if (field.fieldKind === "list") return `a list, each of it ${expectedOne(field)}`;
  if (field.fieldKind === "map") return `an object, each value of it ${expectedOne(field)}`;
  return expectedOne(field);
}

function expectedOne(field: DescField): string {
  const { unit } = fieldRule(field);
  if (unit === Unit.USD) return "a number of US dollars below a billion";
  if (unit === Unit.JSON) return "JSON that nests less deeply";
  if (field.enum !== undefined) {
    const prefix = enumPrefix(field.enum);
    const names = field.enum.values.slice(1).map((value) => value.name.replace(prefix, "").toLowerCase());
    return `one of ${names.join(", ")}`;
  }
  if (field.message !== undefined) {
    return field.message.typeName === "google.protobuf.Timestamp" ? "a time like 2026-01-31T12:00:00Z" : "an object";
  }
  return scalarNames[field.scalar ?? ScalarType.STRING] ?? "a whole number in range";
}

const scalarNames: Readonly<Partial<Record<ScalarType, string>>> = {
  [ScalarType.STRING]: "a string",
  [ScalarType.BOOL]: "true or false",
  [ScalarType.DOUBLE]: "a number",
  [ScalarType.FLOAT]: "a number",
  [ScalarType.BYTES]: "base64",
};
