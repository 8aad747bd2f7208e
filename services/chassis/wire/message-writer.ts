import { type DescField, type DescMessage, type Message, ScalarType, toBinary } from "@bufbuild/protobuf";
import { Edition, FeatureSet_FieldPresence, isWrapperDesc } from "@bufbuild/protobuf/wkt";
import { mapKeyReader } from "./map-key.ts";
import { scalarWriters, type WriteValue, wireType } from "./scalar-writer.ts";
import type { WireWriter } from "./wire-writer.ts";

type Members = Readonly<Record<string, unknown>>;
type WriteMessage = (to: WireWriter, message: Message & Members) => void;

/** A field, or a member of a oneof. */
interface FieldWriter {
  /** The property that holds it. */
  readonly name: string;
  /** The value with which it is not written. */
  readonly unset: unknown;
  /** What stands before the value; 0 where `write` sees to that. */
  readonly tag: number;
  readonly write: WriteValue;
}

/** No value of a field is this one. */
const never = Symbol("never");

const compiled = new WeakMap<DescMessage, WriteMessage>();

/**
 * Writes a message in protobuf's format: the bytes that the library's `toBinary` makes, at a fraction of its price. A value
 * that is not what its field usually holds is left to the library, which converts it or throws.
 */
export function writeMessage(to: WireWriter, schema: DescMessage, message: Message): void {
  const mark = to.mark();
  try {
    writerOf(schema)(to, message as Message & Members);
  } catch {
    to.rewind(mark);
    to.raw(toBinary(schema, message));
  }
}

/** A message as bytes of its own. */
export function encodeMessage(to: WireWriter, schema: DescMessage, message: Message): Buffer {
  writeMessage(to, schema, message);
  return to.take();
}

function writerOf(schema: DescMessage): WriteMessage {
  const known = compiled.get(schema);
  if (known !== undefined) return known;
  if (!isUsual(schema)) {
    const library: WriteMessage = (to, message) => to.raw(toBinary(schema, message));
    compiled.set(schema, library);
    return library;
  }
  const fields: FieldWriter[] = [];
  const write: WriteMessage = (to, message) => {
    if (message.$typeName !== schema.typeName) throw new TypeError("another message");
    for (const { name, unset, tag, write: writeField } of fields) {
      const value = message[name];
      if (value === unset) continue;
      if (tag !== 0) to.varint(tag);
      writeField(to, value);
    }
    const unknown = message.$unknown;
    if (unknown === undefined) return;
    for (const { no, wireType: wire, data } of unknown) {
      to.varint(tagOf(no, wire));
      to.raw(data);
    }
  };
  // Known before its fields are looked at: a message may hold its own kind.
  compiled.set(schema, write);
  for (const field of schema.fields.toSorted((one, other) => one.number - other.number)) fields.push(fieldOf(field));
  return write;
}

/** Other editions have required fields, groups and defaults on the prototype; some messages are held in another form. */
function isUsual({ file, fields }: DescMessage): boolean {
  if (file.edition !== Edition.EDITION_PROTO3) return false;
  return fields.every(({ message, fieldKind }) => {
    if (message === undefined) return true;
    return message.typeName !== "google.protobuf.Struct" && !(fieldKind === "message" && isWrapperDesc(message));
  });
}

function fieldOf(field: DescField): FieldWriter {
  switch (field.fieldKind) {
    case "list":
      return { name: field.localName, unset: never, tag: 0, write: listOf(field) };
    case "map":
      return { name: field.localName, unset: never, tag: 0, write: mapOf(field) };
    default:
      return field.oneof === undefined ? singleOf(field, field.localName) : choiceOf(field, field.oneof.localName);
  }
}

type SingleField = DescField & { readonly fieldKind: "message" | "scalar" | "enum" };

function choiceOf(field: SingleField, name: string): FieldWriter {
  const { localName } = field;
  const write = tagged(field);
  return {
    name,
    unset: never,
    tag: 0,
    write(to, group) {
      const { case: chosen, value } = membersOf(group);
      if (chosen === localName) write(to, value);
    },
  };
}

function singleOf(field: SingleField, name: string): FieldWriter {
  const { tag, write } = payloadOf(field);
  if (field.presence !== FeatureSet_FieldPresence.IMPLICIT) return { name, unset: undefined, tag, write };
  switch (field.scalar) {
    case undefined:
      return { name, unset: 0, tag, write };
    case ScalarType.BYTES:
      return { name, unset: never, tag: 0, write: unless(isEmpty, tagged(field)) };
    case ScalarType.FLOAT:
    case ScalarType.DOUBLE:
      return { name, unset: never, tag: 0, write: unless(isZero, tagged(field)) };
    default:
      return { name, unset: scalarWriters[field.scalar].zero, tag, write };
  }
}

function isEmpty(value: unknown): boolean {
  return value instanceof Uint8Array && value.length === 0;
}

/** Negative zero is none. */
function isZero(value: unknown): boolean {
  return Object.is(value, 0);
}

function unless(isUnset: (value: unknown) => boolean, write: WriteValue): WriteValue {
  return (to, value) => {
    if (!isUnset(value)) write(to, value);
  };
}

function listOf(field: DescField & { readonly fieldKind: "list" }): WriteValue {
  if (field.listKind === "message" || !field.packed) return each(tagged(field));
  const tag = tagOf(field.number, wireType.lengthDelimited);
  const writeAll = each(payloadOf(field).write);
  return (to, values) => {
    if (listedIn(values).length === 0) return;
    to.varint(tag);
    const mark = to.open();
    writeAll(to, values);
    to.close(mark);
  };
}

function mapOf(field: DescField & { readonly fieldKind: "map" }): WriteValue {
  const tag = tagOf(field.number, wireType.lengthDelimited);
  const key = scalarWriters[field.mapKey];
  const keyTag = tagOf(1, key.wireType);
  const readKey = mapKeyReader(field.mapKey);
  const value = payloadOf({ number: 2, message: field.message, scalar: field.scalar });
  return (to, map) => {
    const entries = membersOf(map);
    for (const name of Object.keys(entries)) {
      to.varint(tag);
      const mark = to.open();
      to.varint(keyTag);
      key.write(to, readKey(name));
      to.varint(value.tag);
      value.write(to, entries[name]);
      to.close(mark);
    }
  };
}

/** What a field of any kind says of its values. One that is neither a message nor a scalar is an enum. */
interface ValueKind {
  readonly number: number;
  readonly message?: DescMessage | undefined;
  readonly scalar?: ScalarType | undefined;
}

function payloadOf({ number, message, scalar }: ValueKind): { readonly tag: number; readonly write: WriteValue } {
  if (message !== undefined) return { tag: tagOf(number, wireType.lengthDelimited), write: delimited(message) };
  const writer = scalarWriters[scalar ?? ScalarType.INT32];
  return { tag: tagOf(number, writer.wireType), write: writer.write };
}

/** A message behind its length. */
function delimited(schema: DescMessage): WriteValue {
  const write = writerOf(schema);
  return (to, message) => {
    const mark = to.open();
    write(to, message as Message & Members);
    to.close(mark);
  };
}

function tagged(field: ValueKind): WriteValue {
  const { tag, write } = payloadOf(field);
  return (to, value) => {
    to.varint(tag);
    write(to, value);
  };
}

function each(write: WriteValue): WriteValue {
  return (to, values) => {
    for (const value of listedIn(values)) write(to, value);
  };
}

function tagOf(number: number, wire: number): number {
  return ((number << 3) | wire) >>> 0;
}

function listedIn(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw new TypeError("no list");
  return value;
}

function membersOf(value: unknown): Members {
  if (typeof value !== "object" || value === null) throw new TypeError("no object");
  return value as Members;
}
