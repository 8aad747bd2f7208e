import { setTimeout as sleep } from "node:timers/promises";

/** Calls that go on and on. */
export interface Calling {
  /** Ends them. Resolves with how many there were, and what every one said that was not answered with 200. */
  stop(): Promise<{ readonly calls: number; readonly failures: readonly string[] }>;
}

const pauseMs = 150;
/** How long a client, or a load balancer, looks for an address that takes its connection. */
const connectMs = 60_000;

/**
 * Calls a model with a key until it is told to stop, at one of the addresses after the other. Nobody listening at one is
 * no failure: what is in front of a gateway goes to the next one, and a single one that restarts is waited for.
 */
export function keepCalling(addresses: () => readonly string[], key: string, model: string): Calling {
  const state = { stopped: false, calls: 0, failures: [] as string[] };
  const body = JSON.stringify({ model, messages: [{ role: "user", content: "hi" }] });
  const init = {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body,
  };
  const running = (async () => {
    while (!state.stopped) {
      const response = await connect(addresses, state.calls, init);
      state.calls += 1;
      const text = await response.text().catch((error) => `cut: ${error}`);
      if (response.status !== 200) state.failures.push(`${new Date().toISOString()} ${response.status} ${text}`);
      await sleep(pauseMs);
    }
  })();
  return {
    async stop() {
      state.stopped = true;
      await running;
      return state;
    },
  };
}

async function connect(addresses: () => readonly string[], from: number, init: RequestInit): Promise<Response> {
  const deadline = Date.now() + connectMs;
  for (let at = from; ; at += 1) {
    const all = addresses();
    try {
      return await fetch(`${all[at % all.length]}/v1/chat/completions`, init);
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await sleep(20);
    }
  }
}
