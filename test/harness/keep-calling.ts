import { setTimeout as sleep } from "node:timers/promises";
import { type CallLoad, startLoad } from "./call-load.ts";

const pauseMs = 150;
/** How long a client, or a load balancer, looks for an address that takes its connection. */
const connectMs = 60_000;

/**
 * Calls a model with a key until it is told to stop, at one of the addresses after the other. Nobody listening at one is
 * no failure: what is in front of a gateway goes to the next one, and a single one that restarts is waited for.
 */
export function keepCalling(addresses: () => readonly string[], key: string, model: string): CallLoad {
  const body = JSON.stringify({ model, messages: [{ role: "user", content: "hi" }] });
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
  let turn = 0;
  return startLoad(() => connect(addresses, turn++, { method: "POST", headers, body }), 1, pauseMs);
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
