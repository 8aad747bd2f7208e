import type { Recording, ReplayResult } from "./recording.ts";
import type { ReplayReport } from "./replay-exchanges.ts";

/** All that was replayed. */
export interface Replays {
  readonly gateway: ReplayReport;
  /** Through a provider alone, twins among them. */
  readonly pure: readonly ReplayResult[];
  readonly clients: ReplayResult;
}

/** What became of every recording, as text, and how many faults there are that nobody knows of. */
export interface Account {
  readonly text: string;
  readonly failed: number;
}

/** What differed. */
interface Fault {
  readonly id: string;
  readonly text: string;
}

interface Row {
  recorded: number;
  readonly gateway: Count;
  readonly pure: Count;
  leftOut: number;
}

interface Count {
  ran: number;
  passed: number;
}

/**
 * Accounts for all recordings: each was replayed through the gateway, through its provider alone, or left out with a
 * reason. A known difference does not count as a failure; one that is gone does, so that the list stays true.
 */
export function accountFor(
  recordings: readonly Recording[],
  replays: Replays,
  known: Readonly<Record<string, string>>,
): Account {
  const { alone, whole } = faultsOf(replays);
  const faults = [...whole, ...alone];
  const faulty = { whole: idsOf(whole), alone: idsOf(alone), any: idsOf(faults) };
  const ids = new Set(recordings.map(({ id }) => id));
  const unknown = faults.filter(({ id }) => known[id] === undefined).map(({ text }) => `FAILED ${text}`);
  for (const id of Object.keys(known)) {
    if (ids.has(id) && !faulty.any.has(id))
      unknown.push(`FAILED ${id}: listed as a known difference, but nothing differs`);
  }
  const { lines, unaccounted } = accountLines(recordings, replays, faulty);
  for (const { id, provider, endpoint } of unaccounted) {
    unknown.push(`FAILED ${provider} ${endpoint} ${id}: neither replayed nor left out`);
  }
  const differing = Object.entries(known).filter(([id]) => faulty.any.has(id));
  const text = [
    ...lines,
    `${replays.gateway.calls} calls went through the gateway`,
    ...resultLines(replays),
    ...differing.map(([id, reason]) => `known difference ${id}: ${reason}`),
    ...unknown,
  ];
  return { text: text.map((line) => `  ${line}`).join("\n"), failed: unknown.length };
}

const idLength = 12;
const idsOf = (faults: readonly Fault[]) => new Set(faults.map(({ id }) => id));

function faultsOf({ gateway, pure, clients }: Replays): Record<"alone" | "whole", Fault[]> {
  const resultFaults = ({ name, failures }: ReplayResult) =>
    failures.map((failure) => ({ id: failure.slice(0, idLength), text: `${name} ${failure}` }));
  const whole = gateway.failures.map(({ id, provider, endpoint, reason }) => ({
    id,
    text: `${provider} ${endpoint} ${id}: ${reason}`,
  }));
  return {
    whole: [...whole, ...resultFaults(clients)],
    alone: pure.filter(({ exchanges }) => exchanges !== undefined).flatMap(resultFaults),
  };
}

type FaultyIds = Readonly<Record<"alone" | "whole", ReadonlySet<string>>>;

function accountLines(recordings: readonly Recording[], { gateway, pure }: Replays, faulty: FaultyIds) {
  const purely = new Set(pure.flatMap(({ exchanges = [] }) => exchanges.map(({ id }) => id)));
  const rows = new Map<string, Row>();
  const reasons = new Map<string, number>();
  const total = { gateway: 0, pure: 0, leftOut: 0 };
  const unaccounted: Recording[] = [];
  for (const recording of recordings) {
    const { id } = recording;
    const row = rowOf(rows, recording);
    row.recorded += 1;
    const throughGateway = gateway.replayed.has(id);
    if (throughGateway) count(row.gateway, !faulty.whole.has(id));
    if (purely.has(id)) count(row.pure, !faulty.alone.has(id));
    const reason = gateway.skipped.get(id);
    if (throughGateway) total.gateway += 1;
    else if (purely.has(id)) total.pure += 1;
    else if (reason === undefined) unaccounted.push(recording);
    else {
      row.leftOut += 1;
      total.leftOut += 1;
      const told = `${recording.provider}: ${reason}`;
      reasons.set(told, (reasons.get(told) ?? 0) + 1);
    }
  }
  const sum = `${recordings.length} recordings = ${total.gateway} through the whole gateway + ${total.pure} through their provider alone + ${total.leftOut} left out`;
  const left = [...reasons].sort(([a], [b]) => a.localeCompare(b));
  const lines = [...table(rows), sum, ...left.map(([reason, times]) => `left out: ${times} × ${reason}`)];
  return { lines, unaccounted };
}

function rowOf(rows: Map<string, Row>, { provider, endpoint }: Recording): Row {
  const name = `${provider.padEnd(19)}${endpoint.padEnd(31)}`;
  const row = rows.get(name) ?? {
    recorded: 0,
    gateway: { ran: 0, passed: 0 },
    pure: { ran: 0, passed: 0 },
    leftOut: 0,
  };
  rows.set(name, row);
  return row;
}

function count(tally: Count, passed: boolean): void {
  tally.ran += 1;
  if (passed) tally.passed += 1;
}

/** Passed of run, each recording once. */
function table(rows: ReadonlyMap<string, Row>): string[] {
  const share = ({ ran, passed }: Count) => (ran === 0 ? "" : `${passed}/${ran}`).padStart(12);
  const number = (value: number) => (value === 0 ? "" : String(value)).padStart(10);
  const head = `${"provider".padEnd(19)}${"endpoint".padEnd(31)}${"recorded".padStart(10)}${"gateway".padStart(12)}${"alone".padStart(12)}${"left out".padStart(10)}`;
  const lines = [...rows].map(
    ([name, row]) => `${name}${number(row.recorded)}${share(row.gateway)}${share(row.pure)}${number(row.leftOut)}`,
  );
  return [head, ...lines.sort()];
}

function resultLines({ pure, clients }: Replays): string[] {
  return [...pure, clients].map(({ name, ran, failures }) => `${name}: ${ran - failures.length} of ${ran} passed`);
}
