import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { type ServiceName, serviceNames } from "#chassis/service.ts";
import { startTestNats, type TestNats } from "#chassis/testing/nats.ts";
import { startTestPostgres, type TestPostgres } from "#chassis/testing/postgres.ts";
import { Health, HealthCheckResponse_ServingStatus as Status } from "#gen/grpc/health/v1/health_pb.ts";
import { readMeshConfig } from "../services/mesh/config.ts";
import { makeDataDir, meshAvailable, removeDataDir } from "./harness/gateway-process.ts";
import {
  type Profile,
  readProbePorts,
  readProfile,
  readTlsComponent,
  selects,
  type Workload,
} from "./harness/manifests.ts";
import { type PodProcess, resolveAddress, startPods } from "./harness/pod-processes.ts";
import { generateKey, spendRows } from "./harness/spend.ts";

const root = join(import.meta.dirname, "..");
const docs = ["configuration.md", "mesh.md"].map((file) => readFileSync(join(root, "docs", file), "utf8")).join("\n");

/** The manifests hold together, and processes with their variables are a gateway. No cluster is needed for either. */
for (const name of ["mesh", "compact"] as const) {
  describe(`the Kubernetes profile ${name}`, () => {
    const profile = readProfile(name);
    const configs = profile.workloads.map((workload) => ({ workload, config: readMeshConfig(workload.env) }));

    test("every service is hosted once", () => {
      const hosted = configs.flatMap(({ config }) => [...config.services]);
      assert.deepEqual(hosted.sort(), [...serviceNames].sort());
    });

    test("a pod's one port is the one its process listens on and its probes ask", () => {
      const http = readProbePorts("probes-http.yaml");
      const rpc = readProbePorts("probes-rpc.yaml");
      for (const { workload, config } of configs) {
        const edge = config.services.has("edge");
        const expected = edge ? { http: config.http.port } : { rpc: config.rpc?.port };
        assert.deepEqual(Object.fromEntries(workload.ports), expected, workload.name);
        const probed = edge ? http.map((port) => workload.ports.get(String(port))) : rpc;
        assert.deepEqual(probed, Array(3).fill(Object.values(expected)[0]), workload.name);
        assert.ok(!edge || config.rpc === undefined, `${workload.name} opens a port that nothing declares`);
      }
    });

    test("an address leads to the workload that hosts the service, and both sides' policies let the call through", () => {
      for (const { workload, config } of configs) {
        for (const [service, urls] of config.addresses) {
          for (const url of urls) {
            const { workload: target, port } = resolveAddress(profile, url);
            assert.ok(readMeshConfig(target.env).services.has(service), `${service} is not at ${url}`);
            assert.ok(mayCall(profile, workload, target, port), `${workload.name} may not call ${target.name}`);
          }
        }
      }
    });

    test("nobody may call a service that is not its peer, nor any but the gateway from outside", () => {
      for (const { workload, config } of configs) {
        const peers = [...config.addresses.values()].flat().map((url) => resolveAddress(profile, url).workload.name);
        for (const target of profile.workloads.filter(({ ports }) => ports.has("rpc"))) {
          assert.equal(mayCall(profile, workload, target, "rpc"), peers.includes(target.name), workload.name);
        }
        const open = admitting(profile, workload).some(({ from }) => from === undefined);
        assert.equal(open, config.services.has("edge"), workload.name);
      }
    });

    test("a pod has the time to drain, and a journal outlives it", () => {
      for (const { workload, config } of configs) {
        assert.ok(workload.graceSeconds > workload.preStopSeconds + config.drainMs / 1000, workload.name);
        assert.equal(workload.volumes.includes(config.dataDir), config.services.has("router"), workload.name);
      }
    });

    test("a secret is given to those who read it, and to nobody else", () => {
      const readers: Readonly<Record<string, readonly ServiceName[]>> = {
        "master-key": ["auth", "router", "provider-adapter"],
        "salt-key": ["auth", "router", "provider-adapter"],
        "database-url": ["auth", "accounting", "router"],
        "mesh-token": serviceNames,
        "nats-token": serviceNames,
      };
      for (const { workload, config } of configs) {
        const given = Object.values(workload.env).filter((value) => value.startsWith("secret:"));
        const due = Object.keys(readers).filter((key) => readers[key]?.some((service) => config.services.has(service)));
        assert.deepEqual(given.sort(), due.map((key) => `secret:${key}`).sort(), workload.name);
      }
    });

    test("TLS leads to the same services, under names that the certificate has", () => {
      const component = readTlsComponent(name);
      for (const { workload, config } of configs) {
        const { addresses } = readMeshConfig({ ...workload.env, ...component.env });
        assert.deepEqual([...addresses.keys()], [...config.addresses.keys()]);
        for (const [service, urls] of addresses) {
          const plain = urls.map((url) => url.replace("https:", "http:"));
          assert.deepEqual(plain, config.addresses.get(service));
          for (const url of urls) assert.ok(component.names.includes(new URL(url).hostname), url);
        }
      }
      assert.deepEqual(component.probePorts, Array(3).fill(Number(component.env.SLUICE_PROBE_PORT)));
    });

    test("every variable is documented", () => {
      const names = new Set(profile.workloads.flatMap(({ env }) => Object.keys(env)));
      assert.deepEqual(
        [...names].filter((variable) => !docs.includes(`\`${variable}\``)),
        [],
      );
    });

    if (meshAvailable()) answers(profile);
  });
}

/** Starts the profile's processes and runs a call through them. */
function answers(profile: Profile): void {
  describe("its processes", () => {
    let nats: TestNats | undefined;
    let postgres: TestPostgres | undefined;
    let dataDir: string;
    let pods: PodProcess[] = [];
    before(async () => {
      [nats, postgres, dataDir] = await Promise.all([startTestNats(), startTestPostgres(), makeDataDir()]);
      const secrets = {
        "master-key": "sk-of-the-manifests",
        "salt-key": "salt-of-the-manifests",
        "mesh-token": "token-of-the-manifests",
        "nats-token": "unused-by-this-nats",
        "database-url": postgres?.url.reveal() ?? "",
      };
      pods = await startPods(profile, { secrets, natsUrl: nats?.url ?? "", dataDir });
    });
    after(async () => {
      await Promise.all(pods.map((pod) => pod.stop()));
      await Promise.all([nats?.stop(), postgres?.stop()]);
      await removeDataDir(dataDir);
    });

    const gateway = {
      request: (path: string, { key = "sk-of-the-manifests", body }: { key?: string; body?: unknown } = {}) =>
        fetch(`${pods.find(({ workload }) => workload.ports.has("http"))?.url}${path}`, {
          method: body === undefined ? "GET" : "POST",
          headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
          body: JSON.stringify(body),
        }),
    };

    test("answer the probes, in gRPC and over HTTP", async () => {
      for (const { url, workload } of pods) {
        const health = createClient(Health, createGrpcTransport({ baseUrl: url }));
        assert.equal((await health.check({})).status, Status.SERVING, workload.name);
        for (const path of ["/health/liveliness", "/health/readiness", "/metrics"]) {
          const response = await fetch(url + path);
          await response.text();
          assert.equal(response.status, 200, `${workload.name} ${path}`);
        }
      }
    });

    test("answer a call, record it, and end in good order", async () => {
      const key = await generateKey(gateway, { max_budget: 1 });
      const body = { model: "mock/echo", messages: [{ role: "user", content: "Hello!" }] };
      const response = await gateway.request("/v1/chat/completions", { key, body });
      assert.match(await response.text(), /Hello!/);
      assert.equal(response.status, 200);
      const [row] = await spendRows(gateway, key, 1);
      assert.equal(row?.usage_status, "success");
      const codes = await Promise.all(pods.map((pod) => pod.stop()));
      assert.deepEqual(
        codes,
        pods.map(() => 0),
      );
    });
  });
}

function mayCall(profile: Profile, caller: Workload, target: Workload, portName: string): boolean {
  const port = target.ports.get(portName);
  const leaves = profile.policies
    .filter(({ podSelector, policyTypes }) => policyTypes.includes("Egress") && selects(podSelector, caller.labels))
    .flatMap(({ egress }) => egress)
    .some(({ to, ports }) => to?.some((peer) => chosen(peer, target)) === true && allows(ports, port));
  const enters = admitting(profile, target).some(
    ({ from, ports }) => (from === undefined || from.some((peer) => chosen(peer, caller))) && allows(ports, port),
  );
  return leaves && enters;
}

function admitting({ policies }: Profile, { labels }: Workload) {
  return policies
    .filter(({ podSelector, policyTypes }) => policyTypes.includes("Ingress") && selects(podSelector, labels))
    .flatMap(({ ingress }) => ingress);
}

function chosen({ podSelector }: { podSelector?: Parameters<typeof selects>[0] }, { labels }: Workload): boolean {
  return podSelector !== undefined && selects(podSelector, labels);
}

function allows(ports: readonly { port: number }[] | undefined, port: number | undefined): boolean {
  return ports === undefined || ports.some((each) => each.port === port);
}
