import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { processTree } from "./process-figures.ts";

export interface ProcessOptions {
  readonly name: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Of one line of output, the port that it announces. Undefined where it is about something else. */
  readonly port: (line: string) => number | undefined;
  readonly readyTimeoutMs: number;
}

/** A Node program that the benchmark runs: started, watched and ended by it. */
export interface ManagedProcess {
  readonly name: string;
  readonly pid: number;
  readonly port: number;
  /** Asks it to end; kills it, and what it started, where it does not within twenty seconds. */
  stop(): Promise<void>;
}

const keptLines = 12;
const stopTimeoutMs = 20_000;

/** Starts a program and resolves when it has said on which port it serves. Rejects with its last lines where it fails. */
export async function startProcess(options: ProcessOptions): Promise<ManagedProcess> {
  const child = spawn(process.execPath, [...options.args], {
    env: options.env,
    cwd: options.cwd,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const exited = new Promise<void>((resolve) => {
    child.once("close", () => resolve());
    child.once("error", () => resolve());
  });
  const stop = () => stopChild(child, exited);
  try {
    return { name: options.name, pid: child.pid ?? 0, port: await announcedPort(child, options), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function announcedPort(child: ChildProcess, options: ProcessOptions): Promise<number> {
  const lines: string[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const fail = (why: string) => reject(new Error(`${options.name} ${why}: ${lines.join(" | ") || "no output"}`));
  const timer = setTimeout(() => fail("was not ready in time"), options.readyTimeoutMs);
  child.once("error", (error) => fail(error.message));
  child.once("close", () => fail("ended at its start"));
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null) continue;
    createInterface({ input: stream }).on("line", (line) => {
      if (lines.push(line) > keptLines) lines.shift();
      const port = options.port(line);
      if (port !== undefined) resolve(port);
    });
  }
  return promise.finally(() => clearTimeout(timer));
}

async function stopChild(child: ChildProcess, exited: Promise<void>): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const tree = processTree(child.pid);
  child.kill("SIGTERM");
  const timer = setTimeout(() => {
    for (const pid of [...tree].reverse()) endProcess(pid, "SIGKILL");
  }, stopTimeoutMs);
  await exited;
  clearTimeout(timer);
}

/** Signals a process of ours that may be gone already. */
export function endProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended meanwhile, which is what was wanted.
  }
}
