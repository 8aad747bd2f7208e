import { parentPort, workerData } from "node:worker_threads";
import { giveWayToCalls } from "#chassis/background-thread.ts";
import { connectDatabase } from "#chassis/database/database.ts";
import { unpackEvents } from "#chassis/events/event-pack.ts";
import { createLogger, errorText } from "#chassis/log.ts";
import { Secret } from "#chassis/secret.ts";
import { trustAuthorities } from "#chassis/tls/public-trust.ts";
import { createPartitions } from "./db/partitions.ts";
import { accountingSchema } from "./db/schema.ts";
import { createSpendContexts } from "./db/spend-contexts.ts";
import { type SettlementContext, settle } from "./settlement.ts";
import type { FromSettlementWorker, SettlementWorkerData, ToSettlementWorker } from "./settlement-thread.ts";
import { timeZone } from "./time-zone.ts";

/** The thread that settles. The main thread starts and ends it. */
const { url, watched, authorities, logLevel, timeZone: zone }: SettlementWorkerData = workerData;

giveWayToCalls();
trustAuthorities(authorities);
const log = createLogger(logLevel).with({ service: "accounting" });
const database = await connectDatabase({ ...accountingSchema, url: new Secret(url), watched, poolSize: 2, log });
const context: SettlementContext = {
  database,
  partitions: createPartitions(database),
  contexts: createSpendContexts(database, Date.now),
  clock: Date.now,
  timeZone: timeZone(zone),
};
const running = new Set<Promise<void>>();

parentPort?.on("message", (message: ToSettlementWorker) => {
  if (message === "close") {
    void end();
    return;
  }
  const run = settlePacks(message.id, message.packs).finally(() => running.delete(run));
  running.add(run);
});
answer("ready");

async function settlePacks(id: number, packs: readonly Uint8Array[]): Promise<void> {
  try {
    const cut = (error: unknown) => {
      throw error;
    };
    const settled = await settle(
      context,
      packs.flatMap((pack) => unpackEvents(pack, cut)),
    );
    answer({ id, settled });
  } catch (error) {
    answer({ id, failure: errorText(error) });
  }
}

async function end(): Promise<void> {
  await Promise.all(running);
  await database.close();
  parentPort?.close();
}

function answer(message: FromSettlementWorker): void {
  parentPort?.postMessage(message);
}
