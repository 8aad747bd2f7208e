import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { z } from "zod";

/** The manifests in infra/kubernetes as far as they say how the processes of a profile are started and reached. */
export interface Profile {
  readonly workloads: readonly Workload[];
  readonly services: readonly ServiceAddress[];
  readonly policies: readonly NetworkPolicy[];
}

export interface Workload {
  readonly name: string;
  readonly labels: Labels;
  /** Variables, the ones from secrets as `secret:<key>`. */
  readonly env: Readonly<Record<string, string>>;
  /** By name. */
  readonly ports: ReadonlyMap<string, number>;
  readonly volumes: readonly string[];
  readonly graceSeconds: number;
  readonly preStopSeconds: number;
}

export interface ServiceAddress {
  readonly name: string;
  readonly selector: Labels;
  /** The name of the container's port, by the Service's number. */
  readonly ports: ReadonlyMap<number, string>;
}

export type Labels = Readonly<Record<string, string>>;
export type NetworkPolicy = z.output<typeof policySchema>["spec"];

const folder = join(import.meta.dirname, "../../infra/kubernetes");
export const configFile = join(folder, "base/config.yaml");

const labels = z.record(z.string(), z.string());
const envEntry = z.object({
  name: z.string(),
  value: z.string().optional(),
  valueFrom: z.object({ secretKeyRef: z.object({ name: z.literal("sluice"), key: z.string() }) }).optional(),
});
const containerSchema = z.looseObject({
  name: z.literal("sluice"),
  env: z.array(envEntry).default([]),
  ports: z.array(z.object({ name: z.string(), containerPort: z.number() })).default([]),
  volumeMounts: z.array(z.looseObject({ mountPath: z.string() })).default([]),
  lifecycle: z.object({ preStop: z.object({ sleep: z.object({ seconds: z.number() }) }) }).optional(),
});
const workloadSchema = z.looseObject({
  kind: z.enum(["Deployment", "StatefulSet"]),
  metadata: z.looseObject({ name: z.string(), labels: labels.default({}) }),
  spec: z.looseObject({
    selector: z.object({ matchLabels: labels }).optional(),
    template: z.looseObject({
      metadata: z.looseObject({ labels: labels.default({}) }).optional(),
      spec: z.looseObject({
        terminationGracePeriodSeconds: z.number().optional(),
        containers: z.tuple([containerSchema]),
      }),
    }),
  }),
});
const serviceSchema = z.looseObject({
  kind: z.literal("Service"),
  metadata: z.looseObject({ name: z.string() }),
  spec: z.looseObject({
    selector: labels,
    ports: z.array(z.object({ name: z.string(), port: z.number(), targetPort: z.string() })),
  }),
});
const selectorSchema = z.object({
  matchLabels: labels.default({}),
  matchExpressions: z
    .array(z.object({ key: z.string(), operator: z.literal("In"), values: z.array(z.string()) }))
    .default([]),
});
const peerSchema = z.looseObject({ podSelector: selectorSchema.optional() });
const portsSchema = z.array(z.object({ protocol: z.string(), port: z.number() })).optional();
const policySchema = z.looseObject({
  kind: z.literal("NetworkPolicy"),
  spec: z.object({
    podSelector: selectorSchema,
    policyTypes: z.array(z.string()),
    ingress: z.array(z.object({ from: z.array(peerSchema).optional(), ports: portsSchema })).default([]),
    egress: z.array(z.object({ to: z.array(peerSchema).optional(), ports: portsSchema })).default([]),
  }),
});

/** Reads a profile: its own files, what it shares with the others, and what is laid over every pod. */
export function readProfile(name: "mesh" | "compact"): Profile {
  const shared = workloadSchema.parse(documents("components/pod/pod.yaml")[0]);
  const environment = { ...variables("base/environment.env"), ...variables(`overlays/${name}/addresses.env`) };
  const files = readdirSync(join(folder, "overlays", name)).filter((file) => file.endsWith(".yaml"));
  const all = ["base/network-policies.yaml", ...files.map((file) => `overlays/${name}/${file}`)].flatMap(documents);
  return {
    workloads: parsed(all, workloadSchema).map((workload) => describeWorkload(workload, shared, environment)),
    services: parsed(all, serviceSchema).map(({ metadata, spec }) => ({
      name: metadata.name,
      selector: spec.selector,
      ports: new Map(spec.ports.map(({ port, targetPort }) => [port, targetPort])),
    })),
    policies: parsed(all, policySchema).map(({ spec }) => spec),
  };
}

/** What the component for TLS lays over the pods of a profile that serve peers. */
export function readTlsComponent(name: "mesh" | "compact") {
  const certificate = z.object({ kind: z.literal("Certificate"), spec: z.object({ dnsNames: z.array(z.string()) }) });
  const env = ["pod.yaml", "probes.yaml"].flatMap((file) => {
    const [{ env: entries }] = workloadSchema.parse(documents(`components/mtls/${file}`)[0]).spec.template.spec
      .containers;
    return entries.map(({ name: variable, value = "" }) => [variable, value]);
  });
  return {
    env: { ...variables(`components/mtls-${name}/addresses.env`), ...Object.fromEntries(env) },
    names: documents("components/mtls/certificates.yaml").flatMap(
      (document) => certificate.safeParse(document).data?.spec.dnsNames ?? [],
    ),
    probePorts: probePorts("components/mtls/probes.yaml"),
  };
}

/** The ports that the probes of a profile's pods ask: a name over HTTP, a number over gRPC. */
export function readProbePorts(file: "probes-http.yaml" | "probes-rpc.yaml"): readonly (string | number)[] {
  return probePorts(`components/pod/${file}`);
}

function probePorts(file: string): readonly (string | number)[] {
  const port = z.object({ port: z.union([z.string(), z.number()]) });
  const probe = z.looseObject({ httpGet: port.optional(), grpc: port.optional() });
  const schema = containerSchema.extend({ startupProbe: probe, readinessProbe: probe, livenessProbe: probe });
  const patch = workloadSchema.parse(documents(file)[0]);
  const { startupProbe, readinessProbe, livenessProbe } = schema.parse(patch.spec.template.spec.containers[0]);
  return [startupProbe, readinessProbe, livenessProbe].map(({ httpGet, grpc }) => (httpGet ?? grpc)?.port ?? "none");
}

export function selects(selector: z.output<typeof selectorSchema>, of: Labels): boolean {
  const { matchLabels, matchExpressions } = selector;
  return (
    Object.entries(matchLabels).every(([key, value]) => of[key] === value) &&
    matchExpressions.every(({ key, values }) => values.includes(of[key] ?? ""))
  );
}

function describeWorkload(
  { metadata, spec }: z.output<typeof workloadSchema>,
  shared: z.output<typeof workloadSchema>,
  environment: Readonly<Record<string, string>>,
): Workload {
  const own = spec.template.spec.containers[0];
  const laid = shared.spec.template.spec;
  return {
    name: metadata.name,
    labels: spec.template.metadata?.labels ?? {},
    env: { ...environment, ...entries(own.env), ...entries(laid.containers[0].env) },
    ports: new Map(own.ports.map(({ name, containerPort }) => [name, containerPort])),
    volumes: own.volumeMounts.map(({ mountPath }) => mountPath),
    graceSeconds: laid.terminationGracePeriodSeconds ?? 30,
    preStopSeconds: laid.containers[0].lifecycle?.preStop.sleep.seconds ?? 0,
  };
}

function entries(env: readonly z.output<typeof envEntry>[]): Record<string, string> {
  return Object.fromEntries(
    env.map(({ name, value, valueFrom }) => [name, value ?? `secret:${valueFrom?.secretKeyRef.key}`]),
  );
}

function variables(file: string): Record<string, string> {
  const lines = readFileSync(join(folder, file), "utf8").split("\n");
  const pairs = lines.filter((line) => line !== "" && !line.startsWith("#")).map((line) => line.split(/=(.*)/s, 2));
  return Object.fromEntries(pairs.map(([name, value]) => [name, value]));
}

function documents(file: string): unknown[] {
  return parseAllDocuments(readFileSync(join(folder, file), "utf8")).map((document) => {
    if (document.errors.length > 0) throw new Error(`${file}: ${document.errors[0]?.message}`);
    return document.toJS();
  });
}

/** The documents of one kind. One that has the kind and is not as expected is an error. */
function parsed<S extends z.ZodType>(all: readonly unknown[], schema: S): z.output<S>[] {
  return all.flatMap((document) => {
    const result = schema.safeParse(document);
    if (result.success) return [result.data];
    if (result.error.issues.some(({ path }) => path[0] === "kind")) return [];
    throw result.error;
  });
}
