import type { JsonValue } from "../../services/provider-adapter/provider.ts";
import { objectOf, textOf } from "../../services/provider-adapter/translate/json-reading.ts";
import { answerFault, breakFault, type ClientAnswer } from "./answer-check.ts";
import { type Delivery, type ExchangePlan, planExchange, statusOf } from "./exchange-plan.ts";
import type { Recording } from "./recording.ts";
import { type ReplayStage, upstreamKey } from "./replay-stage.ts";
import { requestFault } from "./request-check.ts";

/** An exchange that did not pass. */
export interface ReplayFailure {
  readonly provider: string;
  readonly endpoint: string;
  readonly id: string;
  /** What was wrong, and how the answer came then. */
  readonly reason: string;
}

export interface ReplayReport {
  /** The ids of the exchanges that went through the gateway. */
  readonly replayed: ReadonlySet<string>;
  readonly failures: readonly ReplayFailure[];
  /** By id, why an exchange did not. */
  readonly skipped: ReadonlyMap<string, string>;
  /** Calls that went through the gateway. */
  readonly calls: number;
}

/** How many exchanges are under way at once. */
const width = 24;
const callTimeoutMs = 60_000;
/** Headers of an answer that belong to the connection on which it was recorded. */
const connectionHeaders = new Set(["content-length", "content-encoding", "transfer-encoding", "connection"]);

/** Sends every recorded exchange through the gateway, its answer coming in every way, and compares both ends. */
export async function replayExchanges(stage: ReplayStage, recordings: readonly Recording[]): Promise<ReplayReport> {
  const replayed = new Set<string>();
  const skipped = new Map<string, string>();
  const failures: ReplayFailure[] = [];
  let calls = 0;
  const replayOne = async (recording: Recording) => {
    const plans = planExchange(recording);
    if ("skipped" in plans) {
      skipped.set(recording.id, plans.skipped);
      return;
    }
    replayed.add(recording.id);
    for (const plan of plans) {
      const { provider, id } = recording;
      const faults = await playPlan(stage, plan);
      calls += plan.deliveries.size;
      if (faults.length > 0) failures.push({ provider, endpoint: plan.endpoint, id, reason: faults.join("; ") });
    }
  };
  // The longest first, so that none is left alone at the end.
  const longestFirst = recordings.toSorted((a, b) => textOf(b.response.body).length - textOf(a.response.body).length);
  await inParallel(longestFirst, replayOne);
  const order = recordings.map(({ id }) => id);
  failures.sort((a, b) => order.indexOf(a.id) - order.indexOf(b.id));
  return { replayed, failures, skipped, calls };
}

/** What was wrong, by the way in which the answer came; the same fault in all of them is told once. */
async function playPlan(stage: ReplayStage, plan: ExchangePlan): Promise<string[]> {
  const faults = new Map<string, string[]>();
  for (const [name, delivery] of plan.deliveries) {
    const fault = await play(stage, plan, delivery).catch((error) => `the call failed: ${error}`);
    if (fault !== undefined) faults.set(fault, [...(faults.get(fault) ?? []), name]);
  }
  return [...faults].map(([fault, names]) =>
    names.length === plan.deliveries.size ? fault : `${fault} (${names.join(", ")})`,
  );
}

async function play(stage: ReplayStage, plan: ExchangePlan, delivery: Delivery): Promise<string | undefined> {
  const requests = scriptAnswer(stage, plan.recording, delivery);
  const answer = await ask(stage, plan);
  const keys = { upstream: upstreamKey, client: stage.masterKey };
  return requestFault(plan, requests, keys) ?? (delivery.broken ? breakFault : answerFault)(plan, answer);
}

/** Lets the exchange's address answer as it was recorded; returns the list into which its requests come. */
export function scriptAnswer(stage: ReplayStage, recording: Recording, { body, chunking, ending }: Delivery) {
  const headers = Object.entries(objectOf(recording.response.headers))
    .filter(([name]) => !connectionHeaders.has(name.toLowerCase()))
    .map(([name, value]) => [name, textOf(value)]);
  const answer = { status: statusOf(recording), headers: Object.fromEntries(headers), body, chunking, ending };
  return stage.script(recording, answer);
}

async function ask(
  { url, masterKey }: ReplayStage,
  { path, headers, body, asArray }: ExchangePlan,
): Promise<ClientAnswer> {
  const response = await fetch(`${url}${path}`, {
    method: "POST",
    headers: { ...headers, "content-type": "application/json", authorization: `Bearer ${masterKey}` },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(callTimeoutMs),
  });
  const text = await response.text();
  const answer = { status: response.status, contentType: response.headers.get("content-type") ?? "", text };
  return asArray && response.ok ? asEventStream(answer) : answer;
}

/** A stream that came as one JSON array, as the events that it would have been. */
function asEventStream(answer: ClientAnswer): ClientAnswer {
  if (answer.contentType !== "application/json; charset=UTF-8") return answer;
  const elements: JsonValue[] = JSON.parse(answer.text);
  const text = elements.map((element) => `data: ${JSON.stringify(element)}\n\n`).join("");
  return { ...answer, contentType: "text/event-stream", text };
}

/** Works on so many items at once, in their order. */
async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values();
  const worker = async () => {
    for (const item of queue) await work(item);
  };
  await Promise.all(Array.from({ length: width }, worker));
}
