import { readdirSync, readFileSync } from "node:fs";

/** Figures of processes from `/proc`. Elsewhere than on Linux there are none: empty lists, undefined figures. */

/** What one process has used since it started. */
export interface ProcessFigures {
  readonly pid: number;
  /** `router`, `postgres`, `node`, …: the service it hosts, else its program. */
  readonly label: string;
  readonly cpuSeconds: number;
  readonly rssMb: number;
}

/** Linux counts CPU time in hundredths of a second on every architecture that Node supports. */
const ticksPerSecond = 100;

interface Stat {
  readonly program: string;
  readonly parent: number;
  readonly cpuSeconds: number;
  /** Of children that have ended and that the process has waited for. */
  readonly endedSeconds: number;
}

/** The process and all that descend from it, parents first. */
export function processTree(root: number): number[] {
  const children = new Map<number, number[]>();
  for (const name of read(() => readdirSync("/proc")) ?? []) {
    const pid = Number(name);
    const parent = Number.isInteger(pid) ? statOf(pid)?.parent : undefined;
    if (parent !== undefined) children.set(parent, [...(children.get(parent) ?? []), pid]);
  }
  const tree = [root];
  for (let at = 0; at < tree.length; at += 1) tree.push(...(children.get(tree[at] ?? 0) ?? []));
  return tree;
}

/** Figures of a process and its descendants. */
export function figuresOfTree(root: number): ProcessFigures[] {
  return processTree(root).flatMap((pid) => {
    const stat = statOf(pid);
    const rssMb = rssOf(pid);
    if (stat === undefined || rssMb === undefined) return [];
    return [{ pid, label: serviceOf(pid) ?? stat.program, cpuSeconds: stat.cpuSeconds, rssMb }];
  });
}

/** CPU seconds that a process and its descendants have used; undefined where the system does not tell. */
export function cpuSecondsOfTree(root: number): number | undefined {
  const figures = figuresOfTree(root);
  return figures.length === 0 ? undefined : figures.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0);
}

/**
 * CPU seconds that everybody else on the machine has used since it started: a process that is not a descendant of this one.
 * The difference of two calls tells how quiet the machine was. Undefined where the system does not tell.
 */
export function foreignCpuSeconds(): number | undefined {
  const text = read(() => readFileSync("/proc/stat", "latin1"));
  const found = /^cpu +(\d+) (\d+) (\d+) /.exec(text ?? "");
  if (found === null) return undefined;
  const all = (Number(found[1]) + Number(found[2]) + Number(found[3])) / ticksPerSecond;
  const own = processTree(process.pid).flatMap((pid) => statOf(pid) ?? []);
  return own.reduce((left, { cpuSeconds, endedSeconds }) => left - cpuSeconds - endedSeconds, all);
}

/** Memory of the Node processes of a tree: PostgreSQL's share their buffers and would be counted several times. */
export function nodeRssMb(root: number): number | undefined {
  const own = figuresOfTree(root).filter(({ label }) => !/^(postgres|nats-server)/.test(label));
  return own.length === 0 ? undefined : own.reduce((sum, { rssMb }) => sum + rssMb, 0);
}

function statOf(pid: number): Stat | undefined {
  const text = read(() => readFileSync(`/proc/${pid}/stat`, "latin1"));
  const found = text === undefined ? null : /^\d+ \((.*)\) (.*)$/s.exec(text);
  const fields = found?.[2]?.split(" ");
  if (found === null || fields === undefined) return undefined;
  // proc(5): after the name, state is field 3, the parent 4, user and system time 14 and 15, those of ended children 16 and 17.
  const seconds = (first: number) => (Number(fields[first - 3]) + Number(fields[first - 2])) / ticksPerSecond;
  return { program: found[1] ?? "", parent: Number(fields[1]), cpuSeconds: seconds(14), endedSeconds: seconds(16) };
}

function rssOf(pid: number): number | undefined {
  const found = /^VmRSS:\s+(\d+) kB/m.exec(read(() => readFileSync(`/proc/${pid}/status`, "latin1")) ?? "");
  return found === null ? undefined : Number(found[1]) / 1024;
}

function serviceOf(pid: number): string | undefined {
  const environment = read(() => readFileSync(`/proc/${pid}/environ`, "utf8"));
  return environment
    ?.split("\0")
    .find((entry) => entry.startsWith("SLUICE_SERVICES="))
    ?.slice("SLUICE_SERVICES=".length);
}

/** Processes come and go while they are read. */
function read<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}
