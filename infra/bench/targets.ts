import { join } from "node:path";
import { freePort } from "./free-port.ts";
import { startProcess } from "./managed-process.ts";
import { chatPath, type Target } from "./target.ts";
import { models, streamRequest, wholeRequest } from "./workload.ts";

const here = import.meta.dirname;
const upstreamKey = "sk-bench-upstream";

/** What a child needs of our environment. Everything else would let the caller's shell into the figures. */
export function baseEnvironment(path: string): Record<string, string> {
  return { PATH: path, NODE_ENV: "production" };
}

function announced(line: string): number | undefined {
  const port = /^listening (\d+)$/.exec(line)?.[1];
  return port === undefined ? undefined : Number(port);
}

/** The fake provider; measured directly, it shows what generator and provider can do without a gateway. */
export async function startUpstream(path: string): Promise<Target> {
  const process = await startProcess({
    name: "fake upstream",
    args: [join(here, "fake-upstream.ts")],
    env: baseEnvironment(path),
    port: announced,
    readyTimeoutMs: 20_000,
  });
  return { name: "direct", origin: `http://127.0.0.1:${process.port}`, headers: bearer(upstreamKey), process };
}

export async function startBarePipe(upstream: Target, path: string): Promise<Target> {
  const process = await startProcess({
    name: "bare pipe",
    args: [join(here, "bare-pipe.ts"), upstream.origin],
    env: baseEnvironment(path),
    port: announced,
    readyTimeoutMs: 20_000,
  });
  return { name: "bare pipe", origin: `http://127.0.0.1:${process.port}`, headers: bearer(upstreamKey), process };
}

/** Portkey's gateway as its package starts it, without its web page. */
export async function startPortkey(upstream: Target, path: string): Promise<Target> {
  const port = await freePort();
  const process = await startProcess({
    name: "portkey",
    args: [join(here, "node_modules/@portkey-ai/gateway/build/start-server.js"), `--port=${port}`, "--headless"],
    env: baseEnvironment(path),
    port: (line) => (line.includes("Ready for connections") ? port : undefined),
    readyTimeoutMs: 30_000,
  });
  const headers = {
    ...bearer(upstreamKey),
    "x-portkey-provider": "openai",
    "x-portkey-custom-host": `${upstream.origin}/v1`,
  };
  return { name: "portkey", origin: `http://127.0.0.1:${port}`, headers, process };
}

export function bearer(key: string): Record<string, string> {
  return { authorization: `Bearer ${key}` };
}

/** Sends one request of each kind and looks at the answers. Rejects where a target does not do what is to be measured. */
export async function probe(target: Target): Promise<void> {
  const whole = await post(target, wholeRequest());
  const answer: unknown = JSON.parse(whole.text);
  if (!whole.text.includes("A gateway forwards") || typeof answer !== "object") throw unusable(target, whole.text);
  const priced = Number(whole.headers.get("x-litellm-response-cost")) > 0;
  if (target.name.startsWith("sluice") && !priced) throw unusable(target, "no cost in the answer's head");
  const stream = await post(target, streamRequest(models.pacedStream));
  const tokens = stream.text.split('" token"').length - 1;
  if (tokens !== 20 || !stream.text.includes("data: [DONE]")) throw unusable(target, stream.text.slice(-300));
}

async function post(target: Target, body: string): Promise<{ text: string; headers: Headers }> {
  const response = await fetch(target.origin + chatPath, {
    method: "POST",
    headers: { ...target.headers, "content-type": "application/json" },
    body,
    signal: AbortSignal.timeout(10_000),
  });
  const text = await response.text();
  if (!response.ok) throw unusable(target, `${response.status} ${text.slice(0, 300)}`);
  return { text, headers: response.headers };
}

function unusable(target: Target, why: string): Error {
  return new Error(`${target.name} does not answer as expected: ${why}`);
}
