import assert from "node:assert/strict";
import { test } from "node:test";
import { create, createFileRegistry, type DescService, type MessageInitShape, setExtension } from "@bufbuild/protobuf";
import {
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FieldOptionsSchema,
  FileDescriptorProtoSchema,
  MethodOptionsSchema,
} from "@bufbuild/protobuf/wkt";
import { Role } from "#gen/sluice/rest/v1/caller_pb.ts";
import {
  FieldRuleSchema,
  field as fieldOption,
  HttpRuleSchema,
  http as httpOption,
  Unit,
} from "#gen/sluice/rest/v1/rest_pb.ts";
import { send } from "../testing/raw-http.ts";
import { startTestEdge } from "../testing/scripted-mesh.ts";
import { readMessage } from "./read-message.ts";
import { nanoToUsd, usdToNano } from "./usd.ts";
import { writeMessage } from "./write-message.ts";

const { ENUM, INT64, MESSAGE, STRING, BOOL } = FieldDescriptorProto_Type;
const { OPTIONAL, REPEATED } = FieldDescriptorProto_Label;

/** A service of one RPC that echoes its request, described at run time: no contract of the mesh has such fields. */
function describeService(rule: MessageInitShape<typeof HttpRuleSchema>): DescService {
  const usd = create(FieldOptionsSchema);
  setExtension(usd, fieldOption, create(FieldRuleSchema, { unit: Unit.USD }));
  const options = create(MethodOptionsSchema);
  setExtension(options, httpOption, create(HttpRuleSchema, rule));
  const file = create(FileDescriptorProtoSchema, {
    name: "thing.proto",
    package: "test",
    syntax: "proto3",
    enumType: [
      {
        name: "ThingState",
        value: [
          { name: "THING_STATE_UNSPECIFIED", number: 0 },
          { name: "THING_STATE_IN_USE", number: 1 },
        ],
      },
    ],
    messageType: [
      {
        name: "Thing",
        field: [
          { name: "thing_id", number: 1, type: STRING, label: OPTIONAL },
          { name: "state", number: 2, type: ENUM, typeName: ".test.ThingState", label: OPTIONAL },
          { name: "parts", number: 3, type: MESSAGE, typeName: ".test.Thing", label: REPEATED },
          { name: "amounts", number: 4, type: INT64, label: REPEATED, options: usd },
          { name: "done", number: 5, type: BOOL, label: OPTIONAL },
        ],
      },
    ],
    service: [
      { name: "ThingService", method: [{ name: "Get", inputType: ".test.Thing", outputType: ".test.Thing", options }] },
    ],
  });
  const service = createFileRegistry(file, () => undefined).getService("test.ThingService");
  assert.ok(service);
  return service;
}

test("enums, nested messages and lists of money go both ways", () => {
  const method = describeService({}).methods[0];
  assert.ok(method);
  const input = {
    thing_id: "a",
    state: "in_use",
    amounts: [0.1, 2],
    done: true,
    parts: [{ state: "IN_USE", amounts: [3] }],
  };
  const message = readMessage(method.input, input);
  assert.deepEqual(writeMessage(method.output, message), {
    ...input,
    parts: [{ thing_id: "", state: "in_use", parts: [], amounts: [3], done: false }],
  });
  assert.throws(() => readMessage(method.input, { state: "gone" }), /'state' must be one of in_use/);
  assert.throws(() => readMessage(method.input, { parts: [5] }), /'parts' must be a list, each of it an object/);
});

test("a path can hold a field", async () => {
  const service = describeService({
    paths: ["GET /thing/{thing_id}/state"],
    roles: [Role.KEY],
    responseBody: "thing_id",
  });
  const edge = await startTestEdge({ rest: [{ service, call: async (_, request) => request }] });
  const headers = { authorization: "Bearer sk-virtual" };
  assert.equal((await send(`${edge.url}/thing/a%20b/state?thing_id=c`, { headers })).text, '"a b"');
  await edge.stop();
});

test("a declaration may say how success is spelled", async () => {
  for (const [status, text] of [
    [201, '"x"'],
    [204, ""],
  ] as const) {
    const service = describeService({
      paths: ["DELETE /thing/{thing_id}"],
      roles: [Role.KEY],
      responseBody: "thing_id",
      status,
    });
    const edge = await startTestEdge({ rest: [{ service, call: async (_, request) => request }] });
    const answer = await send(`${edge.url}/thing/x`, {
      method: "DELETE",
      headers: { authorization: "Bearer sk-virtual" },
    });
    assert.deepEqual([answer.status, answer.text], [status, text]);
    await edge.stop();
  }
});

test("a bad declaration stops the start", async () => {
  const cases: [MessageInitShape<typeof HttpRuleSchema>, RegExp][] = [
    [{ paths: ["GET /thing"] }, /does not say who may call it/],
    [{ paths: ["/thing"], roles: [Role.PROXY_ADMIN] }, /malformed REST path/],
    [{ paths: ["BREW /thing"], roles: [Role.PROXY_ADMIN] }, /malformed REST path/],
    [{ paths: ["GET /thing", "GET /thing"], roles: [Role.PROXY_ADMIN] }, /two routes for GET \/thing/],
  ];
  for (const [rule, said] of cases) {
    const service = describeService(rule);
    await assert.rejects(startTestEdge({ rest: [{ service, call: async (_, request) => request }] }), said);
  }
});

test("dollars are exact to the billionth", () => {
  const cases: [value: unknown, nano: bigint | undefined][] = [
    [10, 10_000_000_000n],
    [0.1, 100_000_000n],
    ["0.1", 100_000_000n],
    [1e-9, 1n],
    [-2.5, -2_500_000_000n],
    [0, 0n],
    [123_456_789.123456, 123_456_789_123_456_000n],
    [1e9, undefined],
    [Number.NaN, undefined],
    ["1e3", undefined],
    ["0.0000000001", undefined],
    [true, undefined],
    ["", undefined],
  ];
  for (const [value, nano] of cases) assert.equal(usdToNano(value), nano, String(value));
  assert.equal(nanoToUsd(100_000_000n), 0.1);
  assert.equal(nanoToUsd(12_345n), 0.000012345);
});
