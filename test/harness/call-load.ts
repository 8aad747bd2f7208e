import { setTimeout as sleep } from "node:timers/promises";

/** Calls that are sent one after the other until somebody stops it. */
export interface CallLoad {
  /** How many were answered with a 200 so far. */
  count(): number;
  /** Waits for the calls in flight. `calls` were answered with a 200; what failed comes as its status and body, or its error, each one once. */
  stop(): Promise<{ readonly calls: number; readonly failures: readonly string[] }>;
}

/** Keeps `parallel` callers at the same call, each with a pause before the next one. */
export function startLoad(call: () => Promise<Response>, parallel: number, pauseMs = 25): CallLoad {
  const state = { stopped: false, answered: 0 };
  const failures = new Set<string>();
  const caller = async () => {
    while (!state.stopped) {
      try {
        const response = await call();
        const text = await response.text();
        if (response.status === 200) state.answered += 1;
        else failures.add(`${response.status} ${text}`);
      } catch (error) {
        failures.add(String(error));
      }
      await sleep(pauseMs);
    }
  };
  const callers = Array.from({ length: parallel }, caller);
  return {
    count: () => state.answered,
    async stop() {
      state.stopped = true;
      await Promise.all(callers);
      return { calls: state.answered, failures: [...failures] };
    },
  };
}
