import { type ChildProcess, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import { existsSync } from "node:fs";
import { createServer } from "node:net";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import { ConfigurationError } from "#chassis/environment.ts";

export interface ServerProcessOptions {
  readonly command: string;
  readonly args: readonly string[];
  /** Tells the line of standard error after which the server takes connections. */
  readonly ready: (line: string) => boolean;
  readonly readyTimeoutMs: number;
  /** The user to run as where this process runs as root and the server refuses root. */
  readonly user?: string;
  /** Variables beside the locale and the time zone; nothing of our own environment is handed on. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A server of somebody else (a database, a message broker) that runs as a child of this process. */
export interface ServerProcess {
  readonly pid: number;
  /** Resolves when the process is gone, whoever ended it. */
  readonly exited: Promise<void>;
  /** Sends the signal and waits for the end; after ten seconds it kills. */
  stop(signal: NodeJS.Signals): Promise<void>;
}

const stopTimeoutMs = 10_000;
const keptLines = 20;

/**
 * Starts a server and resolves when it is ready. Rejects, with the last lines it wrote, where it ends or takes too long.
 * The server ends with this process: by an exit hook, and, where the `setpriv` program is there, also after a kill.
 */
export async function startServerProcess(options: ServerProcessOptions): Promise<ServerProcess> {
  const [command, args] = wrap(options.command, options.args, options.user, true);
  const env = { LC_ALL: "C", TZ: "UTC", ...options.env };
  const child = spawn(command, args, { stdio: ["ignore", "ignore", "pipe"], env });
  const exited = new Promise<void>((resolve) => {
    child.once("close", () => resolve());
    child.once("error", () => resolve());
  });
  const onExit = () => child.kill("SIGKILL");
  process.once("exit", onExit);
  void exited.then(() => process.off("exit", onExit));
  try {
    await untilReady(child, options);
  } catch (error) {
    child.kill("SIGKILL");
    await exited;
    throw error;
  }
  return {
    pid: child.pid ?? 0,
    exited,
    async stop(signal) {
      child.kill(signal);
      const timer = setTimeout(() => child.kill("SIGKILL"), stopTimeoutMs);
      await exited;
      clearTimeout(timer);
    },
  };
}

/** Runs a program of such a server to its end. Rejects, with what it wrote to standard error, where it fails. */
export async function runServerTool(command: string, args: readonly string[], user?: string): Promise<void> {
  const [wrapped, wrappedArgs] = wrap(command, args, user, false);
  const child = spawn(wrapped, wrappedArgs, { stdio: ["ignore", "ignore", "pipe"], env: { LC_ALL: "C", TZ: "UTC" } });
  let output = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    output = (output + text).slice(-4000);
  });
  const { promise, resolve, reject } = Promise.withResolvers<number | null>();
  child.once("error", reject);
  child.once("close", resolve);
  const code = await promise;
  if (code !== 0) throw new Error(`${command} failed with ${code ?? "a signal"}: ${output.trim()}`);
}

/** Finds a program in the directories of a PATH-like list, then in further directories. */
export function findProgram(name: string, path: string, further: readonly string[] = []): string | undefined {
  const directories = [...path.split(delimiter).filter((directory) => directory !== ""), ...further];
  return directories.map((directory) => join(directory, name)).find((file) => existsSync(file));
}

/** Below those that a system hands out by itself, to connections and to whoever listens on port 0. */
const [firstPort, lastPort] = [20_000, 32_767];
const portTries = 100;

/**
 * A TCP port of 127.0.0.1 that nobody listens on at this moment. Until this process ends no other call gives it out, in
 * whichever process: whoever is to listen there may take a while to come up, or go away and come back.
 */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < portTries; tries += 1) {
    const port = randomInt(firstPort, lastPort + 1);
    if ((await isFree(port)) && (await reserve(port))) return port;
  }
  throw new Error("no TCP port is free");
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const { promise, resolve } = Promise.withResolvers<boolean>();
  server.once("error", () => resolve(false));
  server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  return promise;
}

/** The reservation is a UDP socket of the same number, which is in nobody's way and ends with the process. */
async function reserve(port: number): Promise<boolean> {
  const socket = createSocket("udp4");
  const { promise, resolve } = Promise.withResolvers<boolean>();
  socket.once("error", () => socket.close(() => resolve(false)));
  socket.bind({ port, address: "127.0.0.1", exclusive: true }, () => resolve(true));
  socket.unref();
  return promise;
}

function wrap(
  command: string,
  args: readonly string[],
  user: string | undefined,
  dieWithParent: boolean,
): [string, string[]] {
  const setpriv = findProgram("setpriv", "", ["/usr/bin", "/bin", "/usr/local/bin"]);
  const asUser = user !== undefined && process.getuid?.() === 0;
  if (setpriv === undefined) {
    if (asUser) throw new Error(`${command} refuses to run as root, and the program setpriv (util-linux) is missing`);
    return [command, [...args]];
  }
  const identity = asUser ? [`--reuid=${user}`, `--regid=${user}`, "--clear-groups"] : [];
  const death = dieWithParent ? ["--pdeathsig", "KILL"] : [];
  return identity.length + death.length === 0
    ? [command, [...args]]
    : [setpriv, [...identity, ...death, command, ...args]];
}

function untilReady(child: ChildProcess, options: ServerProcessOptions): Promise<void> {
  const lines: string[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const fail = (why: string) =>
    reject(new ConfigurationError(`${options.command} ${why}: ${lines.join(" | ") || "no output"}`));
  const timer = setTimeout(() => fail("was not ready in time"), options.readyTimeoutMs);
  child.once("error", (error) => fail(error.message));
  child.once("close", () => fail("ended at its start"));
  if (child.stderr !== null) {
    createInterface({ input: child.stderr }).on("line", (line) => {
      if (lines.push(line) > keptLines) lines.shift();
      if (options.ready(line)) resolve();
    });
  }
  return promise.finally(() => clearTimeout(timer));
}
