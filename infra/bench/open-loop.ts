import { Worker } from "node:worker_threads";
import { Pool } from "undici";
import { clockMs, type PacerData } from "./pacer.ts";
import { median, percentile } from "./statistics.ts";
import { chatPath, type Target } from "./target.ts";

export interface OpenLoad {
  readonly body: string;
  readonly ratePerSecond: number;
  readonly seconds: number;
}

/** Latencies in milliseconds, from the moment a request was due, whether or not the generator was in time. */
export interface Latencies {
  readonly requests: number;
  /** Requests that were refused, broke, or had no end in time. */
  readonly failed: number;
  readonly p50: number;
  readonly p99: number;
  readonly firstByteP50: number;
  readonly firstByteP99: number;
  /** Median of what the gateway says is its own share, in `server-timing`; undefined where it says nothing. */
  readonly ownP50: number | undefined;
}

interface Samples {
  readonly totals: number[];
  readonly firstBytes: number[];
  readonly own: number[];
  failed: number;
}

const patienceMs = 5_000;

/**
 * Sends requests at a fixed rate, without waiting for answers. The first second counts for nothing: it opens the
 * connections and finds the code paths.
 */
export async function runOpenLoop(target: Target, load: OpenLoad): Promise<Latencies> {
  const pool = new Pool(target.origin, { connections: 512 });
  const warmUp = load.ratePerSecond;
  const data: PacerData = {
    periodMs: 1000 / load.ratePerSecond,
    count: warmUp + Math.round(load.ratePerSecond * load.seconds),
  };
  const samples: Samples = { totals: [], firstBytes: [], own: [], failed: 0 };
  const open: Promise<void>[] = [];
  const worker = new Worker(new URL("./pacer.ts", import.meta.url), { workerData: data });
  const { promise: paced, resolve, reject } = Promise.withResolvers<void>();
  worker.once("error", reject);
  worker.once("exit", () => resolve());
  let sent = 0;
  worker.on("message", (dueMs: number) => {
    const counted = sent >= warmUp;
    sent += 1;
    open.push(send(pool, target, load.body, counted ? { dueMs, samples } : undefined));
  });
  await paced;
  await Promise.race([Promise.all(open), new Promise((done) => setTimeout(done, patienceMs).unref())]);
  await pool.destroy();
  await Promise.all(open);
  return summarise(samples);
}

function summarise({ totals, firstBytes, own, failed }: Samples): Latencies {
  return {
    requests: totals.length + failed,
    failed,
    p50: percentile(totals, 0.5),
    p99: percentile(totals, 0.99),
    firstByteP50: percentile(firstBytes, 0.5),
    firstByteP99: percentile(firstBytes, 0.99),
    ownP50: own.length === 0 ? undefined : median(own),
  };
}

interface Counted {
  readonly dueMs: number;
  readonly samples: Samples;
}

function send(pool: Pool, target: Target, body: string, counted: Counted | undefined): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const headers = { ...target.headers, "content-type": "application/json" };
  let status = 0;
  let firstMs = 0;
  let timing: string | string[] | undefined;
  const failed = () => {
    if (counted !== undefined) counted.samples.failed += 1;
    resolve();
  };
  pool.dispatch(
    { method: "POST", path: chatPath, headers, body },
    {
      onRequestStart() {},
      onResponseStart(_controller, statusCode, responseHeaders) {
        status = statusCode;
        timing = responseHeaders["server-timing"];
      },
      onResponseData() {
        if (firstMs === 0) firstMs = clockMs();
      },
      onResponseEnd() {
        if (status !== 200) return failed();
        if (counted !== undefined) record(counted, firstMs, timing);
        resolve();
      },
      onResponseError: failed,
    },
  );
  return promise;
}

function record({ dueMs, samples }: Counted, firstMs: number, timing: string | string[] | undefined): void {
  samples.totals.push(clockMs() - dueMs);
  samples.firstBytes.push(firstMs - dueMs);
  const own = /\bsluice;dur=([\d.]+)/.exec(String(timing ?? ""))?.[1];
  if (own !== undefined) samples.own.push(Number(own));
}
