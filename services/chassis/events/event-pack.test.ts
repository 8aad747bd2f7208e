import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { HealthCheckRequestSchema as EventSchema } from "#gen/grpc/health/v1/health_pb.ts";
import { packEvents, unpackEvents } from "./event-pack.ts";

const event = (service: string) => create(EventSchema, { service });
const fail = (error: unknown) => assert.fail(String(error));

test("events come out of their packs as they went in, in order", () => {
  const sizes = [0, 1, 100, 127, 128, 200, 20_000, 60_000, 70_000, 5];
  const events = sizes.map((size, at) => event(String(at % 10).repeat(size)));
  const packs = packEvents(EventSchema, events);
  assert.ok(packs.length > 1 && packs.length < events.length);
  assert.deepEqual(
    packs.flatMap((pack) => unpackEvents(EventSchema, pack, fail)),
    events,
  );
  assert.deepEqual(packEvents(EventSchema, []), []);
});

test("what cannot be read is told, and what can be is not lost with it", () => {
  const [pack = new Uint8Array()] = packEvents(EventSchema, [event("first"), event("second"), event("third")]);
  const broken = Uint8Array.from(pack);
  broken[1] = 0xff;
  const cases: [name: string, bytes: Uint8Array, kept: string[]][] = [
    ["an event that is none", broken, ["second", "third"]],
    ["a pack cut short in an event", pack.subarray(0, pack.length - 1), ["first", "second"]],
    ["a length cut short", Uint8Array.of(0x80), []],
  ];
  for (const [name, bytes, kept] of cases) {
    let told = 0;
    const services = unpackEvents(EventSchema, bytes, () => (told += 1)).map(({ service }) => service);
    assert.deepEqual([services, told], [kept, 1], name);
  }
});
