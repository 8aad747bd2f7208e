import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import type { Database } from "../../services/chassis/database/database.ts";
import type { ManagedProcess } from "./managed-process.ts";
import { runOpenLoop } from "./open-loop.ts";
import { nodeRssMb } from "./process-figures.ts";
import { median, percentile } from "./statistics.ts";
import { bearer } from "./targets.ts";
import { admin, chat, countLookups, expectStatus, listModels } from "./tenancy-calls.ts";
import type { FloodAnswers, FloodData } from "./tenancy-flood.ts";
import { countReads, keyAt, readsToldAfterMs, sharedBudget } from "./tenancy-seed.ts";
import { wholeRequest } from "./workload.ts";

/** Hands out keys that were not used before. */
export class FreshKeys {
  // The first ones refer to the shared budget.
  #next: number = sharedBudget.keys;

  take(count: number): string[] {
    this.#next += count;
    return Array.from({ length: count }, (_, at) => keyAt(this.#next - count + at));
  }
}

/** First and later uses of keys, one after the other, with what they ask of auth and of its database. */
export async function measureUses(
  plane: ManagedProcess,
  control: ManagedProcess,
  database: Database,
  fresh: FreshKeys,
  count: number,
) {
  for (const key of fresh.take(200)) expectStatus(await listModels(plane, key), 200);
  const lookup: number[] = [];
  for (const key of fresh.take(count)) lookup.push(expectStatus(await listModels(plane, key), 200).ms);
  for (const key of fresh.take(100)) expectStatus(await chat(plane, key), 200);
  const reads = async () => {
    await sleep(readsToldAfterMs);
    return countReads(database);
  };
  const before = await reads();
  const once = fresh.take(count);
  const first: number[] = [];
  for (const key of once) first.push(expectStatus(await chat(plane, key), 200).ms);
  const between = await reads();
  const often: string[] = [];
  const later: number[] = [];
  // A key in use is asked for again after five seconds: the uses that are counted come before that.
  const began = performance.now();
  while (performance.now() < began + 1_500) {
    const [key = ""] = fresh.take(1);
    often.push(key);
    expectStatus(await chat(plane, key), 200);
  }
  const lookups = await countLookups(control);
  while (performance.now() < began + 4_000) {
    for (const key of often) later.push(expectStatus(await chat(plane, key), 200).ms);
  }
  const laterLookups = ((await countLookups(control)).all - lookups.all) / later.length;
  const perFirstUse = (between - before) / once.length;
  const laterReads = Math.max(0, (await reads()) - between - perFirstUse * often.length) / later.length;
  return {
    lookupP50: percentile(lookup, 0.5),
    lookupP95: percentile(lookup, 0.95),
    firstUseP50: percentile(first, 0.5),
    laterUseP50: percentile(later, 0.5),
    laterLookups,
    // A flush of the counts may come late: less than one read in a hundred uses is none by a use.
    laterReads: laterReads < 0.01 ? 0 : laterReads,
  };
}

/** Calls of a list that find the code paths and count for nothing. */
const listWarmUp = 20;

/** The 95th percentile of each list's pages, far ones too. A list that there is not yet is left out. */
export async function measureLists(
  plane: ManagedProcess,
  pages: Readonly<Record<string, number>>,
  calls: number,
): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const [path, last] of Object.entries(pages)) {
    const first = await admin(plane, path);
    if (first.status === 404) continue;
    expectStatus(first, 200);
    const times: number[] = [];
    for (let call = 0; call < listWarmUp + calls; call += 1) {
      const page = 1 + ((call * 7919) % last);
      times.push(expectStatus(await admin(plane, `${path}${path.includes("?") ? "&" : "?"}page=${page}`), 200).ms);
    }
    found[path] = percentile(times.slice(listWarmUp), 0.95);
  }
  return found;
}

/** A call with a budget needs a price. */
const mockPrices = { input_cost_per_token: 0.000_000_15, output_cost_per_token: 0.000_000_6 };
const pollMs = 20;
const changePatienceMs = 20_000;

/**
 * How long after an administrator's call the slower of two replicas follows it, seconds: the longest of some rounds. All
 * keys are in use on both replicas before and meanwhile.
 */
export async function measureChanges(
  replicas: readonly [ManagedProcess, ManagedProcess],
  fresh: FreshKeys,
  rounds: number,
): Promise<Record<string, number>> {
  const longest = { "a blocked key": 0, "an edited budget": 0, "a new model": 0 };
  for (let round = 0; round < rounds; round += 1) {
    const [key = ""] = fresh.take(1);
    const block = () => admin(replicas[0], "/key/block", { key });
    longest["a blocked key"] = Math.max(
      longest["a blocked key"],
      await followed(replicas, (replica) => chat(replica, key), block, 401),
    );
    const budget = (maxBudget: number) => () =>
      admin(replicas[0], "/budget/update", { budget_id: sharedBudget.id, max_budget: maxBudget });
    const referring = keyAt(round);
    const call = (replica: ManagedProcess) => chat(replica, referring);
    const lowered = await followed(replicas, call, budget(0), 400);
    const raised = await followed(replicas, call, budget(1_000_000), 200);
    longest["an edited budget"] = Math.max(longest["an edited budget"], lowered, raised);
    const model = `added-${randomUUID()}`;
    const add = () =>
      admin(replicas[0], "/model/new", { model_name: model, litellm_params: { model: "mock/echo", ...mockPrices } });
    const added = await followed(replicas, (replica) => chat(replica, referring, model), add, 200);
    longest["a new model"] = Math.max(longest["a new model"], added);
  }
  return longest;
}

async function followed(
  replicas: readonly ManagedProcess[],
  call: (replica: ManagedProcess) => Promise<{ status: number }>,
  change: () => Promise<{ status: number; text: string; ms: number }>,
  status: number,
): Promise<number> {
  await Promise.all(replicas.map(call));
  const began = performance.now();
  expectStatus(await change(), 200);
  await Promise.all(
    replicas.map(async (replica) => {
      while ((await call(replica)).status !== status) {
        if (performance.now() - began > changePatienceMs) throw new Error(`a change to ${status} was not followed`);
        await sleep(pollMs);
      }
    }),
  );
  return (performance.now() - began) / 1000;
}

/** What so many keys in use add to the memory of an edge that is warm. */
export async function measureHotKeys(edge: ManagedProcess, fresh: FreshKeys, count: number): Promise<number> {
  const [warm = ""] = fresh.take(1);
  await spread(
    Array.from({ length: 5_000 }, () => warm),
    (key) => chat(edge, key),
  );
  const idle = await settledMb(edge);
  await spread(fresh.take(count), async (key) => expectStatus(await chat(edge, key), 200));
  return (await settledMb(edge)) - idle;
}

/** Does the work for all items, some of them at a time. */
async function spread<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  const rest = items.values();
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      for (const item of rest) await work(item);
    }),
  );
}

/** The least of some samples, some seconds after the load. */
async function settledMb({ pid }: ManagedProcess): Promise<number> {
  await sleep(4_000);
  const samples: number[] = [];
  for (let sample = 0; sample < 10; sample += 1) {
    samples.push(nodeRssMb(pid) ?? Number.NaN);
    await sleep(300);
  }
  return Math.min(...samples);
}

/** An answer about an unknown key is kept for so long. */
const keptSeconds = 10;
const floodRate = 1_000;
const goodRate = 50;

/** Good traffic in turn without a flood, under one from one address and under one from many; medians over the rounds. */
export async function measureFlood(
  plane: ManagedProcess,
  control: ManagedProcess,
  fresh: FreshKeys,
  rounds: number,
  seconds: number,
) {
  const [key = ""] = fresh.take(1);
  const target = {
    name: "sluice",
    origin: `http://127.0.0.1:${plane.port}`,
    headers: bearer(key),
    process: plane,
  } as const;
  const good = async () => (await runOpenLoop(target, { body: wholeRequest(), ratePerSecond: goodRate, seconds })).p50;
  const distinctKeys = 5_000;
  const alone: number[] = [];
  const one: number[] = [];
  const many: number[] = [];
  const lookups: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    alone.push(await good());
    const flood = { origin: target.origin, ratePerSecond: floodRate, seconds: seconds + 1, distinctKeys };
    const fromOne = runFlood({ ...flood, manyAddresses: false, name: `one-${round}` });
    one.push(await good());
    await fromOne;
    const before = await countLookups(control);
    const fromMany = runFlood({ ...flood, manyAddresses: true, name: `many-${round}` });
    many.push(await good());
    const answers = await fromMany;
    if (Object.keys(answers).some((status) => status !== "401")) throw new Error(JSON.stringify(answers));
    const asked = (await countLookups(control)).unknown - before.unknown;
    const distinct = Math.min(distinctKeys, floodRate * flood.seconds);
    lookups.push(asked / (distinct * Math.ceil((seconds + 1) / keptSeconds)));
  }
  return {
    unknownLookups: Math.max(...lookups),
    floodFromOne: median(one) / median(alone),
    floodFromMany: median(many) / median(alone),
  };
}

function runFlood(workerData: FloodData): Promise<FloodAnswers> {
  const { promise, resolve, reject } = Promise.withResolvers<FloodAnswers>();
  const worker = new Worker(new URL("./tenancy-flood.ts", import.meta.url), { workerData });
  worker.once("message", resolve);
  worker.once("error", reject);
  worker.once("exit", () => reject(new Error("the flood ended without a word")));
  return promise;
}
