import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "#chassis/server-process.ts";

/** A gateway that is compared. */
export interface Gateway {
  readonly name: "litellm" | "sluice";
  readonly url: string;
  readonly key: string;
  stop(): Promise<void>;
}

const readyMs = 180_000;

/** Starts LiteLLM's proxy with a configuration. `command` is its program; its version is the first line it is asked for. */
export async function startLiteLlm(command: string, config: string, path: string): Promise<Gateway> {
  const port = await freePort();
  const key = "sk-compare-litellm";
  const child = spawn(command, ["--config", config, "--port", String(port), "--host", "127.0.0.1"], {
    env: {
      PATH: path,
      HOME: "/nonexistent",
      LITELLM_MASTER_KEY: key,
      LITELLM_LOCAL_MODEL_COST_MAP: "True",
      LITELLM_TELEMETRY: "False",
      NO_PROXY: "127.0.0.1",
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => (output = (output + text).slice(-4000)));
  }
  const url = `http://127.0.0.1:${port}`;
  await untilReady(child, url, () => output);
  return {
    name: "litellm",
    url,
    key,
    async stop() {
      const gone = once(child, "exit");
      child.kill("SIGKILL");
      await gone;
    },
  };
}

async function untilReady(child: ChildProcess, url: string, output: () => string): Promise<void> {
  const deadline = Date.now() + readyMs;
  for (;;) {
    const ready = await fetch(`${url}/health/liveliness`).then(
      ({ ok }) => ok,
      () => false,
    );
    if (ready) return;
    if (child.exitCode !== null || Date.now() > deadline) {
      child.kill("SIGKILL");
      throw new Error(`LiteLLM did not start:\n${output()}`);
    }
    await sleep(250);
  }
}
