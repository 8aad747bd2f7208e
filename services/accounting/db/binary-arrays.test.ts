import assert from "node:assert/strict";
import { after, test } from "node:test";
import { connectDatabase } from "#chassis/database/database.ts";
import { createLogger } from "#chassis/log.ts";
import { startTestDatabases } from "#chassis/testing/databases.ts";
import { int8Array, textArray, timeArray, uuidArray } from "./binary-arrays.ts";
import { rows } from "./statement.ts";

const databases = await startTestDatabases();
after(() => databases.stop());

const ids = ["00000000-0000-7000-8000-000000000000", "0197585e-7400-7fff-bfff-ffffffffffff"];
const cases: [string, Buffer, readonly (string | null)[]][] = [
  [
    "bigint",
    int8Array([0n, -1n, null, 2n ** 63n - 1n, -(2n ** 63n)]),
    ["0", "-1", null, "9223372036854775807", "-9223372036854775808"],
  ],
  ["bigint", int8Array([null, null]), []],
  ["bigint", int8Array([]), []],
  ["text", textArray(["", null, "ä\u{1F600}", '{"a",b}\n']), ["", null, "ä\u{1F600}", '{"a",b}\n']],
  ["text", textArray([null]), []],
  ["uuid", uuidArray(ids), ids],
  ["uuid", uuidArray([]), []],
];

for (const { name, url } of databases.all) {
  test(`what is sent as a binary array arrives as it was (${name})`, async () => {
    const log = createLogger("error", () => {});
    const database = await connectDatabase({ url, schema: "public", entities: [], log });
    for (const [type, array, expected] of cases) {
      const found = await rows<{ value: string | null }>(
        database.em(),
        `select value::text from unnest($1::${type}[]) with ordinality as t(value, nth) order by nth`,
        [array],
      );
      assert.deepEqual(
        found.map(({ value }) => value),
        expected,
        type,
      );
    }
    const times = [0, null, Date.UTC(2026, 5, 10, 12, 0, 0, 123), Date.UTC(1999, 11, 31, 23, 59, 59, 999)];
    const found = await rows<{ ms: number | null }>(
      database.em(),
      `select (extract(epoch from value) * 1000)::double precision as ms
       from unnest($1::timestamptz[]) with ordinality as t(value, nth) order by nth`,
      [timeArray(times)],
    );
    assert.deepEqual(
      found.map(({ ms }) => ms),
      times,
    );
    await database.close();
  });
}
