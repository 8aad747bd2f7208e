import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { create, createFileRegistry, type DescMessage, type Message, ScalarType, toBinary } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import {
  FieldDescriptorProto_Label,
  type FieldDescriptorProto_Type,
  FieldDescriptorProto_Type as FieldType,
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  file_google_protobuf_descriptor,
  file_google_protobuf_struct,
  file_google_protobuf_wrappers,
} from "@bufbuild/protobuf/wkt";
import { randomMessage, seededRandom } from "../testing/random-message.ts";
import { encodeMessage } from "./message-writer.ts";
import { joined, WireWriter } from "./wire-writer.ts";

const generated = resolve(import.meta.dirname, "../../../gen");

/** Every message type under a descriptor's roof. */
function withNested(messages: readonly DescMessage[]): DescMessage[] {
  return messages.flatMap((message) => [message, ...withNested(message.nestedMessages)]);
}

async function generatedMessages(): Promise<DescMessage[]> {
  const files = readdirSync(generated, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith("_pb.ts"));
  const modules: object[] = await Promise.all(files.map((name) => import(join(generated, name))));
  const found = modules.flatMap((module) => Object.entries(module));
  return found.flatMap(([name, file]) => (name.startsWith("file_") ? withNested(file.messages) : []));
}

/** A file with one message that has a field of every kind; maps of every kind of key included. */
function everyKind(syntax: string): DescMessage {
  const scalars = Object.values(ScalarType).filter((type) => typeof type === "number");
  const field = (number: number, type: FieldDescriptorProto_Type, more: object) => ({
    name: `field_${number}`,
    number,
    type,
    label: FieldDescriptorProto_Label.OPTIONAL,
    ...more,
  });
  const list = { label: FieldDescriptorProto_Label.REPEATED };
  const keys = scalars.filter((type) => ![ScalarType.BYTES, ScalarType.FLOAT, ScalarType.DOUBLE].includes(type));
  const proto3 = syntax === "proto3";
  const message = {
    name: "Every",
    field: [
      ...scalars.map((type) => field(type, Number(type), {})),
      ...scalars.map((type) => field(100 + type, Number(type), list)),
      ...scalars.map((type) => field(200 + type, Number(type), { ...list, options: { packed: false } })),
      ...scalars.map((type) => field(300 + type, Number(type), { oneofIndex: 0 })),
      ...keys.map((type) => field(70_000 + type, FieldType.MESSAGE, { ...list, typeName: `.test.Every.Map${type}` })),
      field(400, FieldType.MESSAGE, { typeName: ".test.Every" }),
      field(401, FieldType.MESSAGE, { ...list, typeName: ".test.Every" }),
      field(402, FieldType.MESSAGE, { typeName: ".test.Every", oneofIndex: 0 }),
      ...(proto3
        ? scalars.map((type, at) => field(500 + type, Number(type), { proto3Optional: true, oneofIndex: at + 1 }))
        : [field(600, FieldType.INT32, { label: FieldDescriptorProto_Label.REQUIRED })]),
    ],
    nestedType: keys.map((type, at) => ({
      name: `Map${type}`,
      field: [
        { ...field(1, Number(type), {}), name: "key" },
        at % 2 === 0
          ? { ...field(2, FieldType.MESSAGE, { typeName: ".test.Every" }), name: "value" }
          : { ...field(2, Number(type), {}), name: "value" },
      ],
      options: { mapEntry: true },
    })),
    oneofDecl: [{ name: "choice" }, ...(proto3 ? scalars.map((type) => ({ name: `_field_${500 + type}` })) : [])],
  };
  const file: FileDescriptorProto = create(FileDescriptorProtoSchema, {
    name: `test_${syntax}.proto`,
    package: "test",
    syntax,
    messageType: [message],
  });
  const schema = createFileRegistry(file, () => undefined).getMessage("test.Every");
  assert.ok(schema !== undefined);
  return schema;
}

/** What `run` answers while the library refuses to write anything. */
function withoutLibrary<T>(run: () => T): T {
  const { finish } = BinaryWriter.prototype;
  BinaryWriter.prototype.finish = () => {
    throw new Error("the library was asked");
  };
  try {
    return run();
  } finally {
    BinaryWriter.prototype.finish = finish;
  }
}

function assertSame(writer: WireWriter, schema: DescMessage, message: Message, run: <T>(encode: () => T) => T): void {
  const expected = Buffer.from(toBinary(schema, message));
  const encoded = run(() => encodeMessage(writer, schema, message));
  assert.ok(encoded.equals(expected), schema.typeName);
}

test("random messages of every type of the contract are written as the library writes them", async () => {
  const random = seededRandom(1);
  const writer = new WireWriter();
  const schemas = await generatedMessages();
  assert.ok(schemas.length > 100);
  for (const schema of schemas) {
    // Chat completions with types hold JSON, which the library keeps in another form. All others need no help.
    const alone = !schema.typeName.startsWith("sluice.chat.");
    for (let round = 0; round < 5; round++) {
      assertSame(writer, schema, randomMessage(schema, random), alone ? withoutLibrary : (encode) => encode());
    }
  }
});

test("so is every kind of field", () => {
  const random = seededRandom(2);
  const writer = new WireWriter();
  const schema = everyKind("proto3");
  for (let round = 0; round < 60; round++) {
    assertSame(writer, schema, randomMessage(schema, random, 1), withoutLibrary);
  }
});

test("types with groups, required fields, defaults or another form in memory are left to the library", () => {
  const random = seededRandom(3);
  const writer = new WireWriter();
  const files = [file_google_protobuf_struct, file_google_protobuf_wrappers, file_google_protobuf_descriptor];
  const schemas = [everyKind("proto2"), ...withNested(files.flatMap((file) => file.messages))];
  for (const schema of schemas) {
    for (let round = 0; round < 5; round++) {
      assertSame(writer, schema, randomMessage(schema, random, 2), (encode) => encode());
    }
  }
});

test("unknown fields are kept", () => {
  const schema = everyKind("proto3");
  const message = create(schema);
  message.$unknown = [
    { no: 5000, wireType: 2, data: new Uint8Array([3, 1, 2, 3]) },
    { no: 536_870_911, wireType: 0, data: new Uint8Array([0x80, 1]) },
  ];
  assertSame(new WireWriter(), schema, message, withoutLibrary);
});

test("a value of another type is what the library makes of it, and one that cannot be written leaves nothing behind", () => {
  const schema = everyKind("proto3");
  const writer = new WireWriter();
  for (const odd of [{ field_3: "77" }, { field_9: 5 }, { field_8: 1 }, { field_5: "12" }, { field_9: undefined }]) {
    assertSame(writer, schema, Object.assign(create(schema), camelCased(odd)), (encode) => encode());
  }
  const broken = Object.assign(create(schema), camelCased({ field_9: "before", field_13: -1 }));
  assert.throws(() => toBinary(schema, broken), /field_13/);
  assert.throws(() => encodeMessage(writer, schema, broken), /field_13/);
  for (const missing of ["field109", "field12", "field70009", "choice"]) {
    const incomplete = Object.assign(create(schema), { [missing]: undefined });
    assert.throws(() => encodeMessage(writer, schema, incomplete), missing);
  }
  assertSame(writer, schema, create(schema), withoutLibrary);
});

function camelCased(members: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(members).map(([name, value]) => [name.replace("_", ""), value]));
}

test("half a character is replaced, as the library does", () => {
  const schema = everyKind("proto3");
  for (const half of ["\ud800", "a\ud800".repeat(300)]) {
    const message = Object.assign(create(schema), { field9: half });
    assertSame(new WireWriter(), schema, message, withoutLibrary);
  }
});

test("a message of another type is refused", () => {
  const [struct, value] = file_google_protobuf_struct.messages;
  assert.ok(struct !== undefined && value !== undefined);
  const schema = everyKind("proto3");
  assert.throws(() => encodeMessage(new WireWriter(), schema, create(value)), /cannot use/);
});

test("what was handed out is never written again, and neighbours are joined without a copy", () => {
  const writer = new WireWriter(64);
  const texts = Array.from({ length: 50 }, (_, at) => `${at}:${"x".repeat((at * 7) % 90)}`);
  const pieces = texts.map((text) => {
    writer.raw(Buffer.from(text, "latin1"));
    return writer.take();
  });
  assert.deepEqual(
    pieces.map((piece) => piece.toString()),
    texts,
  );
  assert.equal(joined(pieces).toString(), texts.join(""));
  const large = new WireWriter(1024);
  const neighbours = ["one", "two", "three"].map((text) => {
    large.raw(Buffer.from(text, "latin1"));
    return large.take();
  });
  const whole = joined(neighbours);
  assert.equal(whole.toString(), "onetwothree");
  assert.equal(whole.buffer, neighbours[0]?.buffer);
  assert.equal(joined([]).length, 0);
});

test("a message that is longer than the buffer survives the growth in the middle of it", () => {
  const schema = everyKind("proto3");
  const [payloads] = schema.fields.filter(({ number }) => number === 112);
  assert.ok(payloads?.fieldKind === "list");
  const message = reflect(schema, create(schema));
  for (let at = 0; at < 40; at++) message.get(payloads).add(Buffer.alloc(at * 10, at));
  assertSame(new WireWriter(16), schema, message.message, withoutLibrary);
});
