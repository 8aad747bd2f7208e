import { request } from "undici";
import type { ManagedProcess } from "./managed-process.ts";
import { chatPath } from "./target.ts";
import { bearer } from "./targets.ts";
import { tenancyMasterKey } from "./tenancy-mesh.ts";
import { wholeRequest } from "./workload.ts";

export interface TimedAnswer {
  readonly status: number;
  readonly text: string;
  readonly ms: number;
}

const patienceMs = 30_000;

/** One call of a model with a key: of the one that all of the benchmark calls, where none is named. */
export function chat(to: ManagedProcess, key: string, model?: string): Promise<TimedAnswer> {
  return send(to, chatPath, key, wholeRequest(model));
}

/** One call that asks for nothing but who the key is. */
export function listModels(to: ManagedProcess, key: string): Promise<TimedAnswer> {
  return send(to, "/v1/models", key, undefined);
}

/** One admin call with the master key: a GET where there is no body. */
export function admin(to: ManagedProcess, path: string, body?: object): Promise<TimedAnswer> {
  return send(to, path, tenancyMasterKey, body === undefined ? undefined : JSON.stringify(body));
}

async function send({ port }: ManagedProcess, path: string, key: string, body: string | undefined) {
  const began = performance.now();
  const answer = await request(`http://127.0.0.1:${port}${path}`, {
    method: body === undefined ? "GET" : "POST",
    headers: { ...bearer(key), "content-type": "application/json" },
    body,
    signal: AbortSignal.timeout(patienceMs),
  });
  const text = await answer.body.text();
  return { status: answer.statusCode, text, ms: performance.now() - began };
}

/** Throws where an answer is not the one that the measurement is about. */
export function expectStatus(answer: TimedAnswer, status: number): TimedAnswer {
  if (answer.status === status) return answer;
  throw new Error(`${answer.status} instead of ${status}: ${answer.text.slice(0, 300)}`);
}

/** Keys that auth was asked about so far: all of them, and those that nobody knows. */
export async function countLookups(control: ManagedProcess): Promise<{ all: number; unknown: number }> {
  const answer = await request(`http://127.0.0.1:${control.port}/metrics`);
  const lines = (await answer.body.text()).matchAll(/^sluice_auth_lookups_total\{.*?outcome="(\w+)".*?\} (\d+)/gm);
  const counts = { all: 0, unknown: 0 };
  for (const [, outcome, count] of lines) {
    counts.all += Number(count);
    if (outcome === "unknown") counts.unknown += Number(count);
  }
  return counts;
}
