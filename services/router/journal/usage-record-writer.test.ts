import assert from "node:assert/strict";
import { test } from "node:test";
import { isMessage, toBinary } from "@bufbuild/protobuf";
import { randomMessage, seededRandom } from "#chassis/testing/random-message.ts";
import { WireWriter } from "#chassis/wire/wire-writer.ts";
import { UsageRecordedSchema } from "#gen/sluice/accounting/v1/spend_pb.ts";
import { writeUsageRecord } from "./usage-record-writer.ts";

test("records with random values in every field are written as the library writes them", () => {
  const random = seededRandom(11);
  const writer = new WireWriter();
  const filled = new Set<string>();
  for (let round = 0; round < 500; round++) {
    const record = randomMessage(UsageRecordedSchema, random);
    assert.ok(isMessage(record, UsageRecordedSchema));
    writeUsageRecord(writer, record);
    assert.ok(writer.take().equals(Buffer.from(toBinary(UsageRecordedSchema, record))));
    for (const [name, value] of Object.entries(record))
      if (value !== undefined && String(value) !== "") filled.add(name);
  }
  const fields = UsageRecordedSchema.fields.map(({ localName }) => localName);
  assert.deepEqual(
    fields.filter((name) => !filled.has(name)),
    [],
  );
});
