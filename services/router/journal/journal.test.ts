import assert from "node:assert/strict";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { createLogger } from "#chassis/log.ts";
import { UsageStatus } from "#gen/sluice/accounting/v1/spend_pb.ts";
import { readSegment } from "./frame.ts";
import { Journal, type JournalOptions } from "./journal.ts";
import { segmentPattern } from "./segment.ts";
import { begin, begunRecord, endedRecord, journalFolder, readLeft } from "./testing/records.ts";

function open(context: TestContext, options: Partial<JournalOptions> = {}) {
  const folder = journalFolder(context);
  const lines: string[] = [];
  const log = createLogger("debug", (line) => lines.push(line));
  const owner = crypto.randomUUID();
  const journal = new Journal({ folder, owner, log, ...options });
  context.after(() => journal.close());
  const path = join(folder, owner);
  const segments = () =>
    readdirSync(path)
      .filter((name) => segmentPattern.test(name))
      .sort();
  return { folder, path, journal, log, lines, segments };
}

test("what ended and was not acknowledged is left, and what began is left as interrupted", async (context) => {
  const { journal, path, log } = open(context);
  const [open1, ended, voided, acked] = [begunRecord(), begunRecord(), begunRecord(), begunRecord()];
  begin(journal, open1);
  journal.end(begin(journal, ended), endedRecord(ended));
  journal.void(begin(journal, voided));
  const { segment } = journal.end(begin(journal, acked), endedRecord(acked));
  journal.acked([endedRecord(acked)], [segment]);
  const left = await readLeft(path, log);
  assert.deepEqual([...left.keys()].sort(), [open1.recordId, ended.recordId].sort());
  assert.equal(left.get(open1.recordId)?.status, UsageStatus.INTERRUPTED);
  assert.ok(left.get(open1.recordId)?.endedAt);
  assert.equal(left.get(ended.recordId)?.status, UsageStatus.SUCCESS);
});

test("the frames of one turn are written together, at its end or when somebody must have them", async (context) => {
  let writes = 0;
  const { journal, path, log } = open(context, {
    write: (fd, bytes, offset, length, position) => {
      writes += 1;
      return writeSync(fd, bytes, offset, length, position);
    },
  });
  writes = 0;
  const calls = Array.from({ length: 10 }, () => begin(journal, begunRecord()));
  assert.equal(writes, 0);
  await journal.flushed();
  assert.equal(writes, 1);
  for (const call of calls) journal.end(call, endedRecord(begunRecord()));
  journal.void(begin(journal, begunRecord()));
  assert.equal(writes, 2);
  await journal.flushed();
  assert.equal(writes, 2);
  const frames = [...readSegment(readFileSync(join(path, "00000001.journal")))];
  assert.equal(frames.length, 22);
  assert.equal((await readLeft(path, log)).size, 20);
});

test("a tail torn at any byte loses that frame alone", async (context) => {
  const { folder, journal, path, log, lines } = open(context);
  const records = [begunRecord(), begunRecord(), begunRecord()];
  for (const record of records) journal.end(begin(journal, record), endedRecord(record));
  journal.flush();
  const whole = join(path, "00000001.journal");
  const bytes = readFileSync(whole);
  const ends = [8, ...[...readSegment(bytes)].map(({ end }) => end)];
  const torn = join(folder, "torn");
  mkdirSync(torn);
  const copy = join(torn, "00000001.journal");
  for (let length = 0; length <= bytes.length; length += 1) {
    copyFileSync(whole, copy);
    truncateSync(copy, length);
    const left = await readLeft(torn, log, () => assert.fail(`damage reported at ${length}`));
    const frames = ends.filter((end) => end <= length).length - 1;
    assert.equal(left.size, Math.ceil(Math.max(0, frames) / 2), `at ${length}`);
    const done = [...left.values()].filter(({ status }) => status === UsageStatus.SUCCESS).length;
    assert.equal(done, Math.floor(Math.max(0, frames) / 2), `at ${length}`);
  }
  assert.deepEqual(lines, []);
});

test("a damaged frame loses the rest of its segment, loudly, and no other segment", async (context) => {
  const { journal, path, log, lines, segments } = open(context, { segmentBytes: 1000 });
  const records = Array.from({ length: 20 }, begunRecord);
  for (const record of records) {
    begin(journal, record);
    journal.flush();
  }
  const first = join(path, segments()[0] ?? "");
  const bytes = readFileSync(first);
  const frames = [...readSegment(bytes)];
  const second = frames[1];
  assert.ok(second !== undefined && frames.length > 3);
  bytes[second.offset + 20] = (bytes[second.offset + 20] ?? 0) ^ 0xff;
  writeFileSync(first, bytes);
  let damages = 0;
  const left = await readLeft(path, log, () => (damages += 1));
  assert.equal(left.size, records.length - (frames.length - 1));
  assert.equal(damages, 1);
  assert.match(lines.join(""), /damaged/);
});

test("segments go when nothing in them is needed, oldest first", (context) => {
  const { journal, path, segments } = open(context, { segmentBytes: 2000 });
  for (let round = 0; round < 200; round += 1) {
    const record = begunRecord();
    const { segment } = journal.end(begin(journal, record), endedRecord(record));
    journal.acked([endedRecord(record)], [segment]);
  }
  assert.ok(segments().length <= 2, `${segments().length} segments`);
  assert.equal(journal.openCalls, 0);
  journal.close();
  assert.ok(!existsSync(path));
});

test("a call that stays open is carried forward and found again", async (context) => {
  const { journal, path, log, segments } = open(context, { segmentBytes: 2000 });
  const long = begunRecord();
  const call = begin(journal, long);
  for (let round = 0; round < 200; round += 1) journal.void(begin(journal, begunRecord()));
  assert.ok(segments().length <= 6, `${segments().length} segments`);
  assert.ok(!segments().includes("00000001.journal"));
  assert.deepEqual([...(await readLeft(path, log)).keys()], [long.recordId]);
  journal.end(call, endedRecord(long));
  journal.flush();
  assert.equal((await readLeft(path, log)).get(long.recordId)?.status, UsageStatus.SUCCESS);
});

test("a full disk refuses new calls, keeps what was written whole, and recovers", async (context) => {
  let free = Number.POSITIVE_INFINITY;
  const { journal, path, log } = open(context, {
    write: (fd, bytes, offset, length, position) => {
      if (free <= 0) throw Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC" });
      const part = Math.min(length, free);
      free -= part;
      return writeSync(fd, bytes, offset, part, position);
    },
  });
  const before = begunRecord();
  const call = begin(journal, before);
  journal.flush();
  free = 30;
  begin(journal, begunRecord());
  journal.end(call, endedRecord(before));
  await assert.rejects(journal.flushed(), /ENOSPC/);
  assert.equal(journal.openCalls, 1);
  journal.void({ ...call });
  free = Number.POSITIVE_INFINITY;
  const after = begunRecord();
  journal.end(begin(journal, after), endedRecord(after));
  await journal.flushed();
  const left = await readLeft(path, log, () => assert.fail("damage"));
  assert.deepEqual([...left.keys()].sort(), [before.recordId, after.recordId].sort());
});

test("with fsync the data reaches the disk in the background, over rotations too", async (context) => {
  const { journal, path, log, segments } = open(context, { fsyncIntervalMs: 1, segmentBytes: 1500 });
  const records = Array.from({ length: 60 }, begunRecord);
  for (const record of records) {
    begin(journal, record);
    journal.flush();
    if (Math.random() < 0.2) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assert.ok(segments().length > 2);
  assert.equal((await readLeft(path, log)).size, records.length);
});
