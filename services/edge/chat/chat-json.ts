import {
  create,
  type DescField,
  type DescMessage,
  isFieldSet,
  type JsonObject,
  type JsonValue,
  type Message,
  type MessageShape,
  ScalarType,
  toJson,
} from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { FunctionCallSchema, PartSchema, ToolCallSchema, ToolSchema } from "#gen/sluice/chat/v1/chat_pb.ts";

/** The member for what a message has no field for. */
const rest = "extra";
const maxUint32 = 0xffff_ffff;
const maxInt32 = 0x7fff_ffff;

/**
 * A message of `sluice/chat/v1/chat.proto` as OpenAI's JSON: fields by their own names, the members of `extra` beside them,
 * a content as a text or a list. A field that is not set is left out; a `type` that its other fields tell is filled in.
 */
export function writeChatJson(schema: DescMessage, message: Message): JsonObject {
  return write(reflect(schema, message));
}

function write(message: ReflectMessage): JsonObject {
  const object: JsonObject = { ...typeOf(message) };
  for (const field of message.desc.fields) {
    if (!message.isSet(field)) continue;
    const value = written(message, field);
    if (field.name === rest && isJsonObject(value)) Object.assign(object, value);
  }
  for (const field of message.desc.fields) {
    if (field.name === rest || !message.isSet(field)) continue;
    object[field.oneof?.name ?? field.name] = written(message, field);
  }
  return object;
}

/** What a client may leave out, because it goes without saying. */
function typeOf({ desc, message }: ReflectMessage): JsonObject {
  if (desc === ToolSchema || desc === ToolCallSchema) return { type: "function" };
  if (desc === FunctionCallSchema) return { arguments: "" };
  if (desc !== PartSchema) return {};
  const kind = PartSchema.fields.find(
    (field) => field.name !== "type" && field.name !== rest && isFieldSet(message, field),
  );
  return kind === undefined ? {} : { type: kind.name };
}

function written(message: ReflectMessage, field: DescField): JsonValue {
  switch (field.fieldKind) {
    case "list": {
      const items: JsonValue[] = [];
      for (const item of message.get(field)) items.push(writtenItem(item));
      return items;
    }
    case "message": {
      const inner = message.get(field);
      // The list behind the other side of a oneof.
      const [only] = field.oneof === undefined ? [] : inner.desc.fields;
      return only === undefined ? writtenItem(inner) : written(inner, only);
    }
    case "scalar":
      return writtenItem(message.get(field));
    default:
      return null;
  }
}

function writtenItem(value: unknown): JsonValue {
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") return value;
  if (typeof value === "bigint") return Number(value);
  if (!isReflected(value)) return null;
  return value.desc.typeName.startsWith("google.protobuf.") ? toJson(value.desc, value.message) : write(value);
}

function isJsonObject(value: JsonValue): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isReflected(value: unknown): value is ReflectMessage {
  return typeof value === "object" && value !== null && "desc" in value && "message" in value;
}

/**
 * OpenAI's JSON as a message of `sluice/chat/v1/chat.proto`. Nothing is lost and nothing refused: a member without a field,
 * or with a value that its field cannot hold, goes to `extra`. A null is no value.
 */
export function readChatJson<S extends DescMessage>(schema: S, object: JsonObject): MessageShape<S> {
  return create<DescMessage>(schema, read(schema, object)) as MessageShape<S>;
}

function read(schema: DescMessage, object: JsonObject): Record<string, unknown> {
  const init: Record<string, unknown> = {};
  const extra: JsonObject = {};
  for (const [name, value] of Object.entries(object)) {
    // It would be the object's prototype and no member.
    if (name === "__proto__") continue;
    const found = value === null ? undefined : readMember(schema, name, value);
    if (found !== undefined) init[found.member] = found.value;
    else if (value !== null || !isKnown(schema, name)) extra[name] = value;
  }
  if (Object.keys(extra).length > 0) init[rest] = extra;
  return init;
}

function isKnown(schema: DescMessage, name: string): boolean {
  return schema.members.some((member) => member.name === name);
}

interface Member {
  readonly member: string;
  readonly value: unknown;
}

function readMember(schema: DescMessage, name: string, value: JsonValue): Member | undefined {
  const member = schema.members.find((candidate) => candidate.name === name);
  if (member === undefined || name === rest) return undefined;
  if (member.kind === "field") {
    const found = readField(member, value);
    return found === undefined ? undefined : { member: member.localName, value: found };
  }
  for (const field of member.fields) {
    const [only] = field.fieldKind === "message" ? field.message.fields : [];
    const found = only === undefined ? readField(field, value) : readField(only, value);
    if (found === undefined) continue;
    const held = only === undefined ? found : { [only.localName]: found };
    return { member: member.localName, value: { case: field.localName, value: held } };
  }
  return undefined;
}

/** The value of a field for `create`; undefined where the field cannot hold it. */
function readField(field: DescField, value: JsonValue): unknown {
  switch (field.fieldKind) {
    case "scalar":
      return readScalar(field.scalar, value);
    case "message":
      return isJsonObject(value) ? read(field.message, value) : undefined;
    case "list": {
      if (!Array.isArray(value) || field.listKind !== "message") return undefined;
      const { message } = field;
      const items = value.flatMap((item) => (isJsonObject(item) ? [read(message, item)] : []));
      return items.length === value.length ? items : undefined;
    }
    default:
      return undefined;
  }
}

function readScalar(type: ScalarType, value: JsonValue): unknown {
  switch (type) {
    case ScalarType.STRING:
      return typeof value === "string" ? value : undefined;
    case ScalarType.BOOL:
      return typeof value === "boolean" ? value : undefined;
    case ScalarType.DOUBLE:
      return typeof value === "number" ? value : undefined;
    case ScalarType.INT64:
      return Number.isSafeInteger(value) ? BigInt(Number(value)) : undefined;
    case ScalarType.UINT32:
      return isInteger(value, 0, maxUint32) ? value : undefined;
    case ScalarType.INT32:
      return isInteger(value, -maxInt32, maxInt32) ? value : undefined;
    default:
      return undefined;
  }
}

function isInteger(value: JsonValue, min: number, max: number): boolean {
  return typeof value === "number" && Number.isInteger(value) && value >= min && value <= max;
}
