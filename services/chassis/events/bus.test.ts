import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { startTestNats, type TestNats } from "#chassis/testing/nats.ts";
import { HealthCheckRequestSchema as EventSchema } from "#gen/grpc/health/v1/health_pb.ts";
import { createLogger } from "../log.ts";
import type { EventBus } from "./bus.ts";
import { createInProcessBus } from "./in-process.ts";
import { NatsBus } from "./nats.ts";

const log = createLogger("error", () => {});
const nats: TestNats | undefined = await startTestNats();
after(() => nats?.stop());

const event = (service: string) => create(EventSchema, { service });
const encoded = (...services: string[]) => services.map((service) => toBinary(EventSchema, event(service)));
const decoded = (batch: readonly Uint8Array[]) => batch.map((bytes) => fromBinary(EventSchema, bytes).service);

const kinds: [string, () => EventBus][] = [["in process", () => createInProcessBus(log)]];
if (nats !== undefined) {
  const { url } = nats;
  kinds.push(["NATS", () => new NatsBus({ url, token: undefined, name: "test", log })]);
}

for (const [kind, createBus] of kinds) {
  describe(`the event bus, ${kind}`, () => {
    let bus: EventBus;
    before(async () => {
      bus = createBus();
      await until(() => bus.connected);
    });
    after(() => bus.close());

    test("a broadcast reaches every subscriber, also behind one that throws", async () => {
      const seen: string[] = [];
      const stops = [
        bus.subscribe(EventSchema, () => {
          throw new Error("this one fails");
        }),
        bus.subscribe(EventSchema, (message) => seen.push(`a:${message.service}`)),
        bus.subscribe(EventSchema, (message) => seen.push(`b:${message.service}`)),
      ];
      bus.publish(EventSchema, event("1"));
      await until(() => seen.length === 2);
      for (const stop of stops) await stop();
      bus.publish(EventSchema, event("2"));
      await sleep(50);
      assert.deepEqual(seen.sort(), ["a:1", "b:1"]);
    });

    test("a durable event comes again until its handler succeeds", async () => {
      const seen: string[] = [];
      let failures = 1;
      const stop = await bus.subscribeDurable(EventSchema, "test", async (batch) => {
        if (failures-- > 0) throw new Error("not now");
        seen.push(...decoded(batch));
      });
      // In process the publisher sees the failure and repeats; over NATS the server repeats.
      await bus.publishDurable(EventSchema, encoded("1", "2")).catch(async () => {
        await bus.publishDurable(EventSchema, encoded("1", "2"));
      });
      await until(() => seen.length >= 2);
      assert.deepEqual([...new Set(seen)].sort(), ["1", "2"]);
      await stop();
    });
  });
}

if (nats !== undefined) {
  const server = nats;
  test("NATS: durable events wait for a consumer, survive a restart, and publishing fails while it is down", async () => {
    const bus = new NatsBus({ url: server.url, token: undefined, name: "test", log });
    await until(() => bus.connected);
    await bus.publishDurable(EventSchema, encoded("before"));
    await server.down();
    await until(() => !bus.connected);
    await assert.rejects(bus.publishDurable(EventSchema, encoded("lost")));
    await server.restart();
    await until(() => bus.connected);
    await bus.publishDurable(EventSchema, encoded("after"));
    const seen = new Set<string>();
    const stop = await bus.subscribeDurable(EventSchema, "test", async (batch) => {
      for (const service of decoded(batch)) seen.add(service);
    });
    await until(() => seen.size === 2);
    assert.deepEqual([...seen].sort(), ["after", "before"]);
    await stop();
    await bus.close();
  });

  test("NATS: a bus that starts while the server is down connects later", async () => {
    await server.down();
    const bus = new NatsBus({ url: server.url, token: undefined, name: "test", log });
    const seen: string[] = [];
    bus.subscribe(EventSchema, ({ service }) => seen.push(service));
    await sleep(100);
    assert.equal(bus.connected, false);
    await server.restart();
    await until(() => bus.connected);
    bus.publish(EventSchema, event("hello"));
    await until(() => seen.length === 1);
    await bus.close();
  });
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 15_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`waited too long for ${condition}`);
    await sleep(10);
  }
}
