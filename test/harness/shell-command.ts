import { spawn } from "node:child_process";
import { once } from "node:events";

export interface ShellOutcome {
  /** Null where a signal ended it. */
  readonly code: number | null;
  /** Both streams. */
  readonly output: string;
}

export interface ShellCommand {
  readonly done: Promise<ShellOutcome>;
  kill(): void;
}

/** Runs commands in bash, up to the first that fails, with these variables and no others. */
export function startShell(
  commands: string,
  options: { readonly cwd: string; readonly env: Readonly<Record<string, string>> },
): ShellCommand {
  const args = ["-euo", "pipefail", "-c", commands];
  const child = spawn("bash", args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (output += text));
  return {
    done: once(child, "close").then(([code]) => ({ code, output })),
    kill: () => void child.kill("SIGKILL"),
  };
}
