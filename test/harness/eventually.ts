import { setTimeout as sleep } from "node:timers/promises";

/**
 * How long a change of a key may take to every edge on a machine that stalls. They are told of it, within a second
 * where nothing stalls; by itself none asks again within the first five seconds.
 */
export const toldMs = 4_500;

/** Asks until the answer is the expected one, or the time is over. Returns the last answer. */
export async function eventually<T>(expected: T, withinMs: number, ask: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + withinMs;
  for (;;) {
    const begun = Date.now();
    const answer = await ask();
    if (answer === expected || begun > deadline) return answer;
    await sleep(50);
  }
}
