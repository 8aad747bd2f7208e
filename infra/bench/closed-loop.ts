import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { chatPath, type Target } from "./target.ts";

export interface ClosedLoad {
  readonly body: string;
  readonly connections: number;
  readonly seconds: number;
}

export interface Throughput {
  readonly requests: number;
  readonly seconds: number;
  /** Answers other than 200, broken connections and timeouts. */
  readonly errors: number;
  readonly perSecond: number;
}

/** Sends as fast as the target answers, over a fixed number of connections. */
export interface LoadGenerator {
  readonly name: "wrk" | "autocannon";
  run(target: Target, load: ClosedLoad): Promise<Throughput>;
}

/** `wrk` where the machine has it, else `autocannon`. */
export function findLoadGenerator(path: string, workDir: string): LoadGenerator {
  const wrk = path
    .split(delimiter)
    .map((directory) => join(directory, "wrk"))
    .find((file) => existsSync(file));
  if (wrk === undefined) return { name: "autocannon", run: runAutocannon };
  return { name: "wrk", run: (target, load) => runWrk(wrk, workDir, target, load) };
}

async function runWrk(wrk: string, workDir: string, target: Target, load: ClosedLoad): Promise<Throughput> {
  const script = join(workDir, "wrk.lua");
  await writeFile(script, wrkScript(target, load.body), { mode: 0o600 });
  const output = await run(
    wrk,
    ["-t1", `-c${load.connections}`, `-d${load.seconds}s`, "--timeout", "10s", "-s", script, target.origin + chatPath],
    load.seconds,
  );
  const found = /^figures (\d+) (\d+) (\d+)$/m.exec(output);
  if (found === null) throw new Error(`wrk gave no figures: ${output.slice(-300)}`);
  return throughput(Number(found[1]), Number(found[2]) / 1e6, Number(found[3]));
}

function wrkScript(target: Target, body: string): string {
  const headers = { ...target.headers, "content-type": "application/json" };
  return `wrk.method = "POST"
${Object.entries(headers)
  .map(([name, value]) => `wrk.headers["${name}"] = "${value}"`)
  .join("\n")}
wrk.body = [==[${body}]==]
done = function(summary)
  local e = summary.errors
  io.write(string.format("figures %d %d %d\\n", summary.requests, summary.duration,
    e.connect + e.read + e.write + e.status + e.timeout))
end
`;
}

async function runAutocannon(target: Target, load: ClosedLoad): Promise<Throughput> {
  const headers = Object.entries({ ...target.headers, "content-type": "application/json" });
  const program = join(import.meta.dirname, "node_modules/autocannon/autocannon.js");
  const flags = ["--json", "--no-progress", "-m", "POST", "-c", String(load.connections), "-d", String(load.seconds)];
  const pairs = headers.flatMap(([name, value]) => ["-H", `${name}=${value}`]);
  const output = await run(
    process.execPath,
    [program, ...flags, ...pairs, "-b", load.body, target.origin + chatPath],
    load.seconds,
  );
  const result: unknown = JSON.parse(output.slice(output.indexOf("{")));
  const figure = (name: string) => Number(fieldOf(result, name) ?? 0);
  return throughput(figure("2xx"), figure("duration"), figure("errors") + figure("non2xx"));
}

function fieldOf(record: unknown, name: string): unknown {
  return typeof record === "object" && record !== null ? Object.entries(record).find(([key]) => key === name)?.[1] : 0;
}

function throughput(requests: number, seconds: number, errors: number): Throughput {
  return { requests, seconds, errors, perSecond: requests / seconds };
}

async function run(command: string, args: readonly string[], seconds: number): Promise<string> {
  const child = spawn(command, [...args], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  child.once("error", reject);
  child.once("close", () => resolve());
  const timer = setTimeout(() => child.kill("SIGKILL"), (seconds + 20) * 1000);
  await promise.finally(() => clearTimeout(timer));
  return output;
}
