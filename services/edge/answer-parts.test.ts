import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { StartedSchema } from "#gen/sluice/inference/v1/inference_pb.ts";
import { formatUsd, startedHeaders } from "./answer-headers.ts";
import { createCors } from "./cors.ts";
import { joinPayloads } from "./payloads.ts";

test("payloads side by side become one view, others one copy, large ones stay", () => {
  const slab = Buffer.from("abcdef");
  const views = [slab.subarray(0, 2), slab.subarray(2, 5), slab.subarray(5)];
  const [joined, ...more] = joinPayloads(views);
  assert.equal(Buffer.from(joined ?? []).toString(), "abcdef");
  assert.equal(joined?.buffer, slab.buffer);
  assert.equal(more.length, 0);
  assert.equal(Buffer.concat(joinPayloads([slab.subarray(3), slab.subarray(0, 3)])).toString(), "defabc");
  assert.equal(joinPayloads([slab.subarray(3), slab.subarray(0, 3)]).length, 1);
  assert.equal(joinPayloads([new Uint8Array(60_000), new Uint8Array(60_000)]).length, 2);
  assert.equal(joinPayloads([]).length, 0);
});

test("money has no exponent", () => {
  const cases: [bigint, string][] = [
    [0n, "0.0"],
    [1n, "0.000000001"],
    [54_000n, "0.000054"],
    [1_500_000_000n, "1.5"],
    [12_000_000_000n, "12.0"],
    [-1_000_000_001n, "-1.000000001"],
  ];
  for (const [nano, text] of cases) assert.equal(formatUsd(nano), text);
});

test("no header of a provider can break the answer or set a cookie", () => {
  const headers = startedHeaders(
    create(StartedSchema, {
      deployment: "モデル\ud800",
      modelGroup: "a\r\nb",
      headers: { "llm_provider-a": "1", "llm_provider-b": "x\r\ny", "set-cookie": "c", "content-length": "1" },
    }),
  );
  assert.ok(headers.every((text) => /^[\x20-\x7e]*$/.test(text)));
  assert.deepEqual(headers.slice(-2), ["llm_provider-a", "1"]);
});

test("origins", () => {
  const any = createCors(["*"], true);
  assert.deepEqual(any(undefined), []);
  assert.deepEqual(any("http://a").slice(0, 2), ["access-control-allow-origin", "*"]);
  assert.ok(!any("http://a").includes("access-control-allow-credentials"));
  const listed = createCors(["http://a"], true);
  assert.ok(listed("http://a").includes("access-control-allow-credentials"));
  assert.deepEqual(listed("http://b"), []);
});
