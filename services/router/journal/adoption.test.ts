import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { createLogger } from "#chassis/log.ts";
import { type UsageRecorded, UsageStatus } from "#gen/sluice/accounting/v1/spend_pb.ts";
import { type AdoptionOptions, adoptForEver, adoptOrphans } from "./adoption.ts";
import { Journal } from "./journal.ts";
import { begin, begunRecord, endedRecord, journalFolder } from "./testing/records.ts";

const log = createLogger("error", () => undefined);
const never = new AbortController().signal;

/** An adopter that writes down what it does. */
function adopter(folder: string, init: Partial<AdoptionOptions> = {}) {
  const sent: UsageRecorded[] = [];
  const released: string[] = [];
  const options: AdoptionOptions = {
    folder,
    owner: crypto.randomUUID(),
    publish: async (records) => void sent.push(...records),
    releaseWallets: async (owner) => void released.push(owner),
    onAdopted: () => undefined,
    log,
    ...init,
  };
  return { options, sent, released };
}

/** The journal of a process that died with one call open and one not acknowledged. */
function orphan(context: TestContext, folder: string) {
  const owner = crypto.randomUUID();
  const journal = new Journal({ folder, owner, log });
  const [open, ended] = [begunRecord(), begunRecord()];
  begin(journal, open);
  journal.end(begin(journal, ended), endedRecord(ended));
  context.after(() => journal.close());
  return { owner, journal, open, ended };
}

test("a living owner's journal is left alone; a dead one's is sent, released and removed", async (context) => {
  const folder = journalFolder(context);
  const { owner, journal, open, ended } = orphan(context, folder);
  const { options, sent, released } = adopter(folder);
  assert.equal(await adoptOrphans(options, never), true);
  assert.deepEqual([sent, released], [[], []]);
  journal.close();
  assert.equal(await adoptOrphans(options, never), true);
  const statuses = new Map(sent.map(({ recordId, status }) => [recordId, status]));
  assert.equal(sent.length, 2);
  assert.equal(statuses.get(open.recordId), UsageStatus.INTERRUPTED);
  assert.equal(statuses.get(ended.recordId), UsageStatus.SUCCESS);
  assert.deepEqual(released, [owner]);
  assert.deepEqual(readdirSync(folder), []);
});

test("of two adopters one does it", async (context) => {
  const folder = journalFolder(context);
  const orphans = Array.from({ length: 5 }, () => orphan(context, folder));
  for (const { journal } of orphans) journal.close();
  const slow = async () => void (await new Promise((resolve) => setTimeout(resolve, 5)));
  const adopters = [adopter(folder), adopter(folder)];
  await Promise.all(
    adopters.map(({ options, sent }) =>
      adoptOrphans({ ...options, publish: (records) => slow().then(() => void sent.push(...records)) }, never),
    ),
  );
  assert.equal(adopters.flatMap(({ sent }) => sent).length, 10);
  assert.deepEqual(readdirSync(folder), []);
});

test("a bus that is down leaves everything for the next try, which comes soon", async (context) => {
  const folder = journalFolder(context);
  orphan(context, folder).journal.close();
  let down = true;
  const stop = new AbortController();
  const done = Promise.withResolvers<void>();
  const { options, sent } = adopter(folder, { onAdopted: () => done.resolve() });
  const publish = async (records: readonly UsageRecorded[]) => {
    if (down) throw new Error("down");
    sent.push(...records);
  };
  assert.equal(await adoptOrphans({ ...options, publish }, never), false);
  down = false;
  const running = adoptForEver({ ...options, publish }, 60_000, stop.signal);
  await done.promise;
  assert.equal(sent.length, 2);
  stop.abort();
  await running;
});

test("wallets that cannot be released do not keep records back", async (context) => {
  const folder = journalFolder(context);
  orphan(context, folder).journal.close();
  const { options, sent } = adopter(folder, { releaseWallets: () => Promise.reject(new Error("down")) });
  assert.equal(await adoptOrphans(options, never), true);
  assert.equal(sent.length, 2);
  assert.deepEqual(readdirSync(folder), []);
});

test("a damaged journal is kept for a person and not adopted again", async (context) => {
  const folder = journalFolder(context);
  const { owner, journal } = orphan(context, folder);
  journal.close();
  const file = join(folder, owner, "00000001.journal");
  const bytes = readFileSync(file);
  bytes[30] = (bytes[30] ?? 0) ^ 0xff;
  writeFileSync(file, bytes);
  const { options } = adopter(folder);
  await adoptOrphans(options, never);
  assert.deepEqual(readdirSync(folder), [`${owner}.damaged`]);
  assert.equal(await adoptOrphans(options, never), true);
});

/** Starts a writer, kills it after so many lines, and returns what it said it had done. */
async function killInMidWrite(folder: string, owner: string, lines: number): Promise<string[]> {
  const script = join(import.meta.dirname, "testing", "crash-writer.ts");
  const child: ChildProcess = spawn(process.execPath, [script, folder, owner], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let said = "";
  child.stdout?.on("data", (data: Buffer) => {
    said += data.toString();
    if (said.length > lines * 39) child.kill("SIGKILL");
  });
  await once(child, "close");
  return said.slice(0, said.lastIndexOf("\n")).split("\n");
}

test("after a kill in mid-write every end is found again once, and nothing void is", async (context) => {
  const folder = journalFolder(context);
  const runs = await Promise.all([60, 333].map((lines) => killInMidWrite(folder, crypto.randomUUID(), lines)));
  const said = runs.flat();
  const ids = (letter: string) => said.filter((line) => line.startsWith(letter)).map((line) => line.slice(2));
  const { options, sent } = adopter(folder);
  assert.equal(await adoptOrphans(options, never), true);
  const found = sent.map(({ recordId }) => recordId);
  assert.equal(new Set(found).size, found.length);
  const acked = new Set(ids("a"));
  assert.ok(ids("e").length > 200, `only ${ids("e").length} ended`);
  for (const id of ids("e")) assert.equal(found.includes(id), !acked.has(id), id);
  for (const id of ids("v")) assert.ok(!found.includes(id), id);
  assert.ok(!existsSync(join(folder, "lock.db")));
  assert.deepEqual(readdirSync(folder), []);
});
