import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { nodeArguments } from "../../services/mesh/node-arguments.ts";
import { freePort } from "./free-port.ts";
import { type ManagedProcess, startProcess } from "./managed-process.ts";
import { processTree } from "./process-figures.ts";
import type { Target, TargetName } from "./target.ts";
import { baseEnvironment, bearer } from "./targets.ts";
import { models } from "./workload.ts";

/** Sluice as it is run: a virtual key with every kind of limit, journal, metrics and ledger on, prices known. */

const root = resolve(import.meta.dirname, "../..");
const masterKey = "sk-bench-master-key";

export interface SluiceOptions {
  readonly name: Extract<TargetName, "sluice" | "sluice mesh">;
  readonly upstream: Target;
  /** A directory of this run, which the caller removes. */
  readonly workDir: string;
  readonly path: string;
  /** Further arguments for Node, such as `--cpu-prof`. */
  readonly nodeArgs?: readonly string[];
}

/** Starts Sluice in one process, or as five with `npm run mesh`'s program, and makes the key that is measured with. */
export async function startSluice(options: SluiceOptions): Promise<Target> {
  const { name, upstream, workDir, path, nodeArgs = [] } = options;
  const mesh = name === "sluice mesh";
  const dataDir = join(workDir, `${name.replace(" ", "-")}-${Date.now()}`);
  await mkdir(dataDir, { recursive: true });
  const config = join(dataDir, "config.yaml");
  await writeFile(config, configFile(upstream));
  const port = await freePort();
  const started = await startProcess({
    name,
    args: [
      ...nodeArguments,
      ...nodeArgs,
      join(root, "services", mesh ? "mesh/local-mesh.ts" : "main.ts"),
      "--port",
      String(port),
    ],
    env: {
      ...baseEnvironment(path),
      HOST: "127.0.0.1",
      LITELLM_MASTER_KEY: masterKey,
      CONFIG_FILE_PATH: config,
      SLUICE_DATA_DIR: dataDir,
      SLUICE_DRAIN_MS: "2000",
    },
    cwd: workDir,
    port: (line) => (/^\s*Listening\s/.test(line) ? port : undefined),
    readyTimeoutMs: 90_000,
  });
  const process = withoutLeftovers(started);
  const origin = `http://127.0.0.1:${port}`;
  try {
    return { name, origin, headers: bearer(await generateKey(origin)), process };
  } catch (error) {
    await process.stop();
    throw error;
  }
}

function configFile(upstream: Target): string {
  const entries = Object.values(models).map(
    (model) => `  - model_name: ${model}
    litellm_params:
      model: openai/${model}
      api_base: ${upstream.origin}/v1
      api_key: sk-bench-upstream
      input_cost_per_token: 0.00000015
      output_cost_per_token: 0.0000006`,
  );
  return `model_list:\n${entries.join("\n")}\n`;
}

/** A key whose limits are all set and never reached. */
async function generateKey(origin: string): Promise<string> {
  const response = await fetch(`${origin}/key/generate`, {
    method: "POST",
    headers: { ...bearer(masterKey), "content-type": "application/json" },
    body: JSON.stringify({
      models: Object.values(models),
      max_budget: 1_000_000,
      rpm_limit: 100_000_000,
      tpm_limit: 1_000_000_000_000,
      max_parallel_requests: 10_000,
    }),
    signal: AbortSignal.timeout(10_000),
  });
  const text = await response.text();
  const key = response.ok ? /"key"\s*:\s*"([^"]+)"/.exec(text)?.[1] : undefined;
  if (key === undefined) throw new Error(`no key was generated: ${response.status} ${text.slice(0, 300)}`);
  return key;
}

/** Run by root, the mesh keeps its PostgreSQL cluster outside its data directory. It goes with the run. */
function withoutLeftovers(started: ManagedProcess): ManagedProcess {
  return {
    ...started,
    async stop() {
      const clusters = await Promise.all(processTree(started.pid).map(clusterOf));
      await started.stop();
      for (const cluster of clusters) {
        if (cluster !== undefined) await rm(cluster, { recursive: true, force: true });
      }
    },
  };
}

async function clusterOf(pid: number): Promise<string | undefined> {
  const commandLine = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
  return /\0-D\0(\/var\/tmp\/sluice-[0-9a-f]+)\/cluster\0/.exec(commandLine)?.[1];
}
