import { ConfigurationError, type Environment } from "#chassis/environment.ts";
import { applyArguments, usage } from "./arguments.ts";
import { startGateway } from "./gateway.ts";
import { readyMessage } from "./supervise.ts";

/** Runs one process of the mesh until a signal ends it. */
export async function main(args: readonly string[], environment: Environment): Promise<void> {
  await explain(async () => {
    const env = applyArguments(environment, args);
    if (env === undefined) return void process.stdout.write(usage);
    const gateway = await startGateway(env);
    const stop = () => {
      void gateway.close().then(() => {
        if (process.connected) process.disconnect();
      });
    };
    onSignals(stop);
    process.on("SIGHUP", () => void gateway.reloadConfig());
    // The parent of a local mesh is gone: nobody else would end this process.
    process.once("disconnect", stop);
    process.stdout.write(gateway.banner);
    process.send?.(readyMessage);
  });
}

/** A mistake of the person who starts us is a sentence on standard error; anything else keeps its stack. */
export async function explain(work: () => Promise<void>, failure = "Sluice cannot start."): Promise<void> {
  try {
    await work();
  } catch (error) {
    process.exitCode = 1;
    const plain =
      error instanceof ConfigurationError ? error.message : error instanceof Error ? error.stack : String(error);
    process.stderr.write(`${failure}\n\n${plain}\n`);
  }
}

/** npm passes a terminal's Ctrl-C on to us, which has come already: two signals at once are one. */
const sameSignalMs = 1000;

/** The first signal stops in good order. One that comes later, from a person who would not wait, ends the process. */
export function onSignals(stop: () => void): void {
  let since: number | undefined;
  const handle = () => {
    const now = performance.now();
    if (since === undefined) {
      since = now;
      process.stderr.write("Stopping: calls in flight may end. A second signal stops at once.\n");
      stop();
    } else if (now - since > sameSignalMs) {
      process.kill(process.pid, "SIGKILL");
    }
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, handle);
}
