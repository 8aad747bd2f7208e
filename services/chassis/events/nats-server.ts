import { mkdir } from "node:fs/promises";
import { findProgram, freePort, startServerProcess } from "#chassis/server-process.ts";

export interface NatsServerOptions {
  /** The `nats-server` program, from `findNatsServer`. */
  readonly command: string;
  /** Where JetStream keeps its streams; used again on later starts. */
  readonly dataDir: string;
  readonly port?: number;
}

/** A NATS server with JetStream that this process started, on 127.0.0.1. */
export interface NatsServer {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  readonly exited: Promise<void>;
  stop(): Promise<void>;
}

export function findNatsServer(path: string): string | undefined {
  return findProgram("nats-server", path, ["/usr/sbin", "/usr/local/bin", "/opt/homebrew/bin"]);
}

export async function startNatsServer(options: NatsServerOptions): Promise<NatsServer> {
  await mkdir(options.dataDir, { recursive: true, mode: 0o700 });
  const port = options.port ?? (await freePort());
  const server = await startServerProcess({
    command: options.command,
    args: ["-js", "-sd", options.dataDir, "-a", "127.0.0.1", "-p", String(port)],
    ready: (line) => line.includes("Server is ready"),
    readyTimeoutMs: 15_000,
  });
  return {
    url: `nats://127.0.0.1:${port}`,
    port,
    pid: server.pid,
    exited: server.exited,
    stop: () => server.stop("SIGTERM"),
  };
}
