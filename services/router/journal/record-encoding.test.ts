import assert from "node:assert/strict";
import { test } from "node:test";
import {
  create,
  type DescField,
  type DescMessage,
  fromBinary,
  type Message,
  ScalarType,
  toBinary,
} from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import { type UsageRecorded, UsageRecordedSchema } from "#gen/sluice/accounting/v1/spend_pb.ts";
import { ProtoWriter } from "./proto-writer.ts";
import { writeUsageRecord } from "./record-encoding.ts";

/** Sets every field of a message, and of the messages in it, to a value that is not its default. */
function fill<D extends DescMessage>(schema: D, seed: number): Message {
  const message = reflect(schema, create(schema));
  for (const field of schema.fields) {
    if (field.fieldKind === "list") {
      const list = message.get(field);
      for (let at = 0; at < 2; at += 1) list.add(sampleOf(field, seed + at));
    } else message.set(field, sampleOf(field, seed + field.number));
  }
  return message.message;
}

function sampleOf(field: DescField, seed: number) {
  if (field.message !== undefined) return reflect(field.message, fill(field.message, seed));
  if (field.enum !== undefined) return field.enum.values.at(-1)?.number ?? 0;
  if (field.scalar === ScalarType.STRING) return `${field.name} ${"é€😀".repeat(seed)}`;
  if (field.scalar === ScalarType.BOOL) return true;
  if (field.scalar === ScalarType.INT64 || field.scalar === ScalarType.UINT64) return BigInt(seed) ** 9n + 1n;
  return seed * 1000 + 1;
}

function encode(record: UsageRecorded): Buffer {
  const writer = new ProtoWriter(16);
  writeUsageRecord(writer, record);
  return writer.bytes.subarray(0, writer.at);
}

test("every field of the message is written, as the library would", () => {
  for (const seed of [1, 7, 40]) {
    const record = fromBinary(UsageRecordedSchema, toBinary(UsageRecordedSchema, create(UsageRecordedSchema)));
    Object.assign(record, fill(UsageRecordedSchema, seed));
    assert.deepEqual(fromBinary(UsageRecordedSchema, encode(record)), record);
  }
});

test("an empty message takes no bytes, and numbers of all sizes survive", () => {
  assert.equal(encode(create(UsageRecordedSchema)).length, 0);
  const sizes = [
    1n,
    127n,
    128n,
    0x7fffffffn,
    0x80000000n,
    2n ** 53n - 1n,
    2n ** 53n,
    2n ** 63n - 1n,
    -1n,
    -(2n ** 63n),
  ];
  for (const nanoUsd of sizes) {
    const record = create(UsageRecordedSchema, { cost: { nanoUsd } });
    assert.equal(fromBinary(UsageRecordedSchema, encode(record)).cost?.nanoUsd, nanoUsd);
  }
});
