import { parentPort, workerData } from "node:worker_threads";

/**
 * A thread that announces when a request is due. Timers of the event loop are late by up to a millisecond, which would
 * drown what is measured; a thread may sleep to within some ten microseconds. Messages are due times, in milliseconds of
 * `process.hrtime`.
 */
export interface PacerData {
  readonly periodMs: number;
  readonly count: number;
}

function isPacerData(value: unknown): value is PacerData {
  return typeof value === "object" && value !== null && "periodMs" in value && "count" in value;
}

function pace({ periodMs, count }: PacerData): void {
  const sleeper = new Int32Array(new SharedArrayBuffer(4));
  const startMs = clockMs() + 20;
  for (let sent = 0; sent < count; sent += 1) {
    const dueMs = startMs + sent * periodMs;
    const waitMs = dueMs - clockMs();
    if (waitMs > 0) Atomics.wait(sleeper, 0, 0, waitMs);
    parentPort?.postMessage(dueMs);
  }
}

/** A clock that all threads share. */
export function clockMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

if (parentPort !== null && isPacerData(workerData)) pace(workerData);
