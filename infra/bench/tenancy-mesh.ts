import { mkdir, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { startTestNats, type TestNats } from "../../services/chassis/testing/nats.ts";
import { startTestPostgres, type TestPostgres } from "../../services/chassis/testing/postgres.ts";
import { nodeArguments } from "../../services/mesh/node-arguments.ts";
import { freePort } from "./free-port.ts";
import { type ManagedProcess, startProcess } from "./managed-process.ts";
import { baseEnvironment } from "./targets.ts";

const root = resolve(import.meta.dirname, "../..");
export const tenancyMasterKey = "sk-bench-tenancy-master";
/** The model that is called: answered by the gateway's own mock, with a price, so that budgets count. */
export const tenancyModel = "bench";

/** What the measurements of tenancy run on. Everything that was started ends with `stop`. */
export interface TenancyMesh {
  readonly postgres: TestPostgres;
  /** Starts auth and accounting in one process, on NATS. */
  startControl(): Promise<ManagedProcess>;
  /** Starts a data plane, edge, router and provider-adapter, before a control process. */
  startPlane(control: ManagedProcess, env?: Readonly<Record<string, string>>): Promise<ManagedProcess>;
  /** Starts an edge alone, with router and provider-adapter in a process beside it. */
  startEdge(control: ManagedProcess): Promise<ManagedProcess>;
  /** Starts all five services in one process that knows of no other but through the database. */
  startWhole(): Promise<ManagedProcess>;
  stop(): Promise<void>;
}

/** Starts PostgreSQL and NATS. Throws where this machine has neither. */
export async function startTenancyMesh(path: string, workDir: string): Promise<TenancyMesh> {
  const config = { path, requireMesh: true };
  const postgres = await startTestPostgres(config);
  const nats = await startTestNats(config);
  if (postgres === undefined || nats === undefined) throw new Error("PostgreSQL and nats-server are needed");
  const running = new Set<ManagedProcess>();
  const start = await starter(path, workDir, postgres, running);
  return {
    postgres,
    async startControl() {
      const port = await freePort();
      const rpc = { SLUICE_RPC_HOST: "127.0.0.1", SLUICE_RPC_PORT: String(port) };
      return start("control", { ...rpc, SLUICE_SERVICES: "auth,accounting", NATS_URL: nats.url }, port);
    },
    async startPlane({ port }, env = {}) {
      const url = urlOf(port);
      const peers = { SLUICE_AUTH_URL: url, SLUICE_ACCOUNTING_URL: url, NATS_URL: nats.url };
      return start(
        "data plane",
        { SLUICE_SERVICES: "edge,router,provider-adapter", ...peers, ...env },
        await freePort(),
      );
    },
    async startEdge(control) {
      const routerPort = await freePort();
      const urls = {
        SLUICE_AUTH_URL: urlOf(control.port),
        SLUICE_ACCOUNTING_URL: urlOf(control.port),
        NATS_URL: nats.url,
      };
      const rpc = { SLUICE_RPC_HOST: "127.0.0.1", SLUICE_RPC_PORT: String(routerPort) };
      await start("router", { SLUICE_SERVICES: "router,provider-adapter", ...urls, ...rpc }, routerPort);
      return start(
        "edge",
        { SLUICE_SERVICES: "edge", ...urls, SLUICE_ROUTER_URL: urlOf(routerPort) },
        await freePort(),
      );
    },
    startWhole: async () => start("whole", {}, await freePort()),
    stop: () => stopAll([...running], nats, postgres),
  };
}

type Start = (name: string, env: Readonly<Record<string, string>>, port: number) => Promise<ManagedProcess>;

/** Starts processes that serve at a port: the edge's, or the one for peers where the environment has that. */
async function starter(
  path: string,
  workDir: string,
  postgres: TestPostgres,
  running: Set<ManagedProcess>,
): Promise<Start> {
  const file = join(workDir, "tenancy.yaml");
  await writeFile(file, configuration);
  const base = {
    ...baseEnvironment(path),
    HOST: "127.0.0.1",
    LITELLM_MASTER_KEY: tenancyMasterKey,
    CONFIG_FILE_PATH: file,
    DATABASE_URL: postgres.url.reveal(),
    SLUICE_MESH_TOKEN: "bench-mesh-token",
    SLUICE_DRAIN_MS: "1000",
    SLUICE_LOG: "warn",
  };
  return async (name, env, port) => {
    const dataDir = join(workDir, `tenancy-${port}`);
    await mkdir(dataDir, { recursive: true });
    const started = await startProcess({
      name,
      args: [
        ...nodeArguments,
        join(root, "services/main.ts"),
        ...(env.SLUICE_RPC_PORT === undefined ? ["--port", String(port)] : []),
      ],
      env: { ...base, SLUICE_DATA_DIR: dataDir, ...env },
      cwd: workDir,
      port: (line) => (/^\s*Listening\s| ready on port \d/.test(line) ? port : undefined),
      readyTimeoutMs: 90_000,
    });
    running.add(started);
    return started;
  };
}

function urlOf(port: number): string {
  return `http://127.0.0.1:${port}`;
}

/** Data planes before the control process that they need. */
async function stopAll(running: readonly ManagedProcess[], nats: TestNats, postgres: TestPostgres): Promise<void> {
  for (const each of running.toReversed()) await each.stop();
  await Promise.all([nats.stop(), postgres.stop()]);
}

const configuration = `model_list:
  - model_name: ${tenancyModel}
    litellm_params: { model: mock/echo, input_cost_per_token: 0.00000015, output_cost_per_token: 0.0000006 }
`;
