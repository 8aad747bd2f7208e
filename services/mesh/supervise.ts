import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { ConfigurationError, type Environment } from "#chassis/environment.ts";
import type { ServiceName } from "#chassis/service.ts";
import { localMeshArguments } from "./node-arguments.ts";

/** One service in a process of its own, started again when it dies. */
export interface SupervisedService {
  readonly name: ServiceName;
  /** Resolves when it first serves; rejects when it ends before that. */
  readonly ready: Promise<void>;
  pid(): number | undefined;
  /** Lets it read the configuration file again. */
  reload(): void;
  /** Lets it drain and waits for its end. */
  stop(): Promise<void>;
}

/** What a child tells its parent, over Node's IPC channel. */
export const readyMessage = "sluice-ready";

const restartAfterMs = 500;

export function superviseService(name: ServiceName, env: Environment): SupervisedService {
  const { promise: ready, resolve, reject } = Promise.withResolvers<void>();
  let child: ChildProcess;
  let stopping = false;
  let served = false;
  let listening = false;
  const start = () => {
    listening = false;
    child = spawnService(name, env);
    child.on("message", (message) => {
      if (message !== readyMessage) return;
      served = true;
      listening = true;
      resolve();
    });
    child.once("exit", (code, signal) => {
      // It has said why.
      if (!served) reject(new ConfigurationError(`${name} ended at its start (${signal ?? code})`));
      if (stopping || !served) return;
      process.stderr.write(`[${name}] ended (${signal ?? code}), starting again\n`);
      setTimeout(() => stopping || start(), restartAfterMs);
    });
  };
  start();
  return {
    name,
    ready,
    pid: () => child.pid,
    // One that is still starting does not listen for the signal yet, and reads the file anyway.
    reload: () => void (listening && child.kill("SIGHUP")),
    async stop() {
      stopping = true;
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = new Promise((done) => child.once("exit", done));
      child.kill("SIGTERM");
      await exited;
    },
  };
}

/** A child leads a process group of its own: a Ctrl-C reaches the parent alone, which stops the children in order. */
function spawnService(name: ServiceName, env: Environment): ChildProcess {
  const child = spawn(process.execPath, [...localMeshArguments, join(import.meta.dirname, "..", "main.ts")], {
    env: { ...env },
    detached: true,
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  for (const stream of [child.stdout, child.stderr]) {
    if (stream !== null) {
      createInterface({ input: stream }).on("line", (line) => process.stderr.write(`[${name}] ${line}\n`));
    }
  }
  return child;
}
