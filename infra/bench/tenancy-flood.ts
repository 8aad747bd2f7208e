import { setTimeout as sleep } from "node:timers/promises";
import { parentPort, workerData } from "node:worker_threads";
import { Pool } from "undici";

/** What the flood is: so many calls a second, of so many keys that nobody knows, for so long. */
export interface FloodData {
  readonly origin: string;
  readonly ratePerSecond: number;
  readonly seconds: number;
  readonly distinctKeys: number;
  /** Whether each call says that it comes from an address of its own. */
  readonly manyAddresses: boolean;
  /** Makes the keys of one flood others than those of the next. */
  readonly name: string;
}

/** How the calls were answered, by status. */
export type FloodAnswers = Record<string, number>;

/** Runs in a thread of its own, so that it does not delay the traffic that is measured. */
async function flood(data: FloodData): Promise<FloodAnswers> {
  const pool = new Pool(data.origin, { connections: 64 });
  const answers: FloodAnswers = {};
  const began = performance.now();
  const open: Promise<void>[] = [];
  for (let sent = 0; sent < data.ratePerSecond * data.seconds; ) {
    const due = ((performance.now() - began) / 1000) * data.ratePerSecond;
    for (; sent < Math.min(due, data.ratePerSecond * data.seconds); sent += 1)
      open.push(call(pool, data, sent, answers));
    await sleep(5);
  }
  await Promise.all(open);
  await pool.close();
  return answers;
}

async function call(pool: Pool, data: FloodData, number: number, answers: FloodAnswers): Promise<void> {
  const headers = {
    authorization: `Bearer sk-unknown-${data.name}-${number % data.distinctKeys}`,
    ...(data.manyAddresses
      ? { "x-forwarded-for": `10.${(number >> 16) & 255}.${(number >> 8) & 255}.${number & 255}` }
      : {}),
  };
  const status = await pool.request({ method: "GET", path: "/v1/models", headers }).then(
    async ({ statusCode, body }) => {
      await body.dump();
      return String(statusCode);
    },
    () => "failed",
  );
  answers[status] = (answers[status] ?? 0) + 1;
}

if (parentPort !== null) parentPort.postMessage(await flood(workerData));
