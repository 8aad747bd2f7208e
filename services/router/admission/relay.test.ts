import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { DescMessage } from "@bufbuild/protobuf";
import { createLogger } from "#chassis/log.ts";
import { recordIdOf } from "../journal/frame.ts";
import { Journal } from "../journal/journal.ts";
import { begin, begunRecord, endedRecord, journalFolder, readLeft } from "../journal/testing/records.ts";
import { Relay } from "./relay.ts";
import { eventually } from "./testing/fixtures.ts";

const log = createLogger("error", () => undefined);
/** A flush ends when all is sent: only a test that fails waits for so long. */
const patienceMs = 30_000;

function start(context: TestContext, memory: number) {
  const folder = journalFolder(context);
  const owner = crypto.randomUUID();
  const journal = new Journal({ folder, owner, log, segmentBytes: 20_000 });
  const bus = { down: false, batches: [] as number[], sent: [] as string[], running: 0 };
  const acked: (readonly string[])[] = [];
  const relay = new Relay({
    journal,
    bus: {
      async publishDurable(_: DescMessage, messages: readonly Uint8Array[]) {
        bus.running += 1;
        assert.equal(bus.running, 1, "one batch at a time");
        await new Promise((resolve) => setImmediate(resolve));
        bus.running -= 1;
        if (bus.down) throw new Error("down");
        bus.batches.push(messages.length);
        for (const message of messages) bus.sent.push(recordIdOf(Buffer.from(message)));
      },
    },
    events: { relayed: () => undefined, relayFailed: () => undefined },
    intervalMs: 1,
    memory,
    onAcked: (scopes) => acked.push(scopes.map(({ scope }) => scope)),
  });
  context.after(() => {
    relay.close();
    journal.close();
  });
  const end = (count: number) =>
    Array.from({ length: count }, () => {
      const record = begunRecord();
      const encoded = endedRecord(record);
      const call = begin(journal, record);
      relay.push({ encoded, scopes: [{ scope: "key:a" }] }, call, journal.end(call, encoded));
      return record.recordId;
    });
  return { path: `${folder}/${owner}`, journal, relay, bus, acked, end };
}

test("records go out in order, in bounded batches, and are acknowledged", async (context) => {
  const { path, relay, bus, acked, end } = start(context, 10_000);
  const ids = end(1200);
  assert.ok(await relay.flush(patienceMs));
  assert.deepEqual(bus.sent, ids);
  assert.deepEqual(
    acked,
    ids.map(() => ["key:a"]),
  );
  assert.ok(Math.max(...bus.batches) <= 500);
  assert.equal((await readLeft(path, log)).size, 0);
});

test("a bus that was down gets everything once, most of it from the journal", async (context) => {
  const { path, relay, bus, end } = start(context, 100);
  bus.down = true;
  const ids = end(700);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(await relay.flush(10), false);
  ids.push(...end(800));
  assert.equal(relay.unsent, 1500);
  assert.equal((await readLeft(path, log)).size, 1500);
  bus.down = false;
  assert.ok(await relay.flush(patienceMs));
  assert.deepEqual(bus.sent, ids);
  const more = end(10);
  assert.ok(await relay.flush(patienceMs));
  assert.deepEqual(bus.sent.slice(ids.length), more);
  assert.equal((await readLeft(path, log)).size, 0);
});

test("a record that only memory has is sent like the others", async (context) => {
  const { journal, relay, bus, end } = start(context, 1);
  bus.down = true;
  end(5);
  const record = begunRecord();
  const call = begin(journal, record);
  relay.push({ encoded: endedRecord(record), scopes: [{ scope: "key:a" }] }, call, undefined);
  bus.down = false;
  await eventually(() => relay.unsent === 0, "all sent");
  assert.equal(bus.sent.length, 6);
  assert.equal(journal.openCalls, 0);
});
