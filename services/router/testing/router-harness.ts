import { create, type DescService, type MessageInitShape } from "@bufbuild/protobuf";
import { type Client, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { createNoopMeter } from "@opentelemetry/api";
import { findGatewayError, findUpstreamError } from "#chassis/errors.ts";
import { createInProcessBus } from "#chassis/events/in-process.ts";
import { createLogger } from "#chassis/log.ts";
import { createLocalClient } from "#chassis/rpc/local-client.ts";
import type { Sealer } from "#chassis/sealing.ts";
import type { HostedService } from "#chassis/service.ts";
import { testKeyring } from "#chassis/testing/keyring.ts";
import { parseYaml } from "#chassis/yaml-file.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { CallerKind, Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import { InferenceService, InferRequestSchema } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import { RequestService } from "#gen/sluice/inference/v1/request_service_pb.ts";
import { ModelService } from "#gen/sluice/router/v1/model_service_pb.ts";
import type { AdmissionRequest, Admitter, CallEnd } from "../admission/admission.ts";
import { readRouterEnv } from "../config.ts";
import { parseRouterConfig } from "../config-file.ts";
import type { ModelStore } from "../context.ts";
import { createRouterService } from "../service.ts";
import type { ScriptedAdapter } from "./scripted-adapter.ts";

/** What the journal would hold: in order, with what the client had seen by then noted by the test itself. */
export interface FakeAdmitter extends Admitter {
  readonly requests: AdmissionRequest[];
  readonly ends: (CallEnd | "void")[];
  outputTokenCap: number | undefined;
}

export function createFakeAdmitter(onEnd: (end: CallEnd | "void") => void = () => {}): FakeAdmitter {
  const requests: AdmissionRequest[] = [];
  const ends: (CallEnd | "void")[] = [];
  const admitter: FakeAdmitter = {
    requests,
    ends,
    outputTokenCap: undefined,
    async admit(request) {
      requests.push(request);
      const end = async (value: CallEnd | "void") => {
        ends.push(value);
        onEnd(value);
      };
      const { outputTokenCap } = admitter;
      return { recordId: String(requests.length), outputTokenCap, settle: end, void: () => void end("void") };
    },
    close: async () => {},
  };
  return admitter;
}

export interface Harness {
  readonly service: HostedService;
  readonly inference: Client<typeof InferenceService>;
  readonly models: Client<typeof ModelService>;
  /** A client of any service of the router. */
  client<S extends DescService>(service: S): Client<S>;
  /** What the configuration file holds, for the next reload. */
  readonly file: { yaml: string };
  readonly admitter: FakeAdmitter;
  /** What the router waited for between tries, in milliseconds; no time passes, but the clock goes on. */
  readonly sleeps: number[];
  readonly sealer: Sealer;
  /** Moves the router's clock. */
  advance(ms: number): void;
  random: number;
}

export interface HarnessOptions {
  readonly yaml?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly adapter: ScriptedAdapter;
  readonly requests?: Partial<ServiceImpl<typeof RequestService>>;
  readonly admitter?: FakeAdmitter;
  readonly store?: ModelStore;
}

/** A router over a scripted adapter, called through the local binding. */
export async function startRouter(options: HarnessOptions): Promise<Harness> {
  const env = options.env ?? {};
  const admitter = options.admitter ?? createFakeAdmitter();
  const sleeps: number[] = [];
  let now = 1_800_000_000_000;
  const keyring = testKeyring();
  const log = createLogger("error", () => {});
  const file = { yaml: options.yaml ?? "{}" };
  const load = () => {
    const { yaml } = file;
    const { config, warnings } = parseRouterConfig(parseYaml(yaml, "config.yaml", env));
    return { config, env: readRouterEnv(env, config.providers), references: env, warnings };
  };
  const service = await createRouterService({
    source: { initial: load(), load: async () => load() },
    store: options.store ?? { open: undefined, events: createInProcessBus(log) },
    adapter: {
      inference: createLocalClient(InferenceService, options.adapter.implementation),
      requests: createLocalClient(RequestService, options.requests ?? {}),
    },
    admitter,
    keyring,
    log,
    meter: createNoopMeter(),
    runtime: {
      now: () => now,
      random: () => harness.random,
      sleep: async (ms) => {
        sleeps.push(ms);
        now += ms;
      },
    },
  });
  const { implementations } = service;
  const [inference, models] = implementations;
  const harness: Harness = {
    service,
    inference: createLocalClient(InferenceService, inference?.implementation ?? {}),
    models: createLocalClient(ModelService, models?.implementation ?? {}),
    client: (service) => {
      const found = implementations.find((each) => each.service === service);
      return createLocalClient(service, found?.implementation ?? {});
    },
    file,
    admitter,
    sleeps,
    sealer: keyring,
    random: 0,
    advance: (ms) => {
      now += ms;
    },
  };
  return harness;
}

/** A request, or the fields of one that differ from an ordinary call. */
export type CallFields = Extract<MessageInitShape<typeof InferRequestSchema>, { readonly $typeName?: never }>;

export function call(init: CallFields = {}) {
  return create(InferRequestSchema, {
    callId: "call",
    operation: Operation.CHAT_COMPLETIONS,
    model: "m",
    stream: true,
    shape: { inputTokens: 100, choices: 1 },
    caller: { kind: CallerKind.MASTER },
    ...init,
  });
}

/** Runs a call to its end and says what came of it in one line. */
export async function outcome(harness: Harness, init: CallFields = {}): Promise<string> {
  let begun = "";
  try {
    for await (const { event } of harness.inference.infer(call(init))) {
      if (event.case !== "started") continue;
      const { modelGroup, attemptedRetries, attemptedFallbacks } = event.value;
      begun = `${modelGroup} retries=${attemptedRetries} fallbacks=${attemptedFallbacks}`;
    }
    return begun;
  } catch (error) {
    return `${begun} ${errorName(error)}`.trim();
  }
}

export function errorName(error: unknown): string {
  const connectError = ConnectError.from(error);
  const upstream = findUpstreamError(connectError);
  if (upstream !== undefined) return `upstream ${upstream.httpStatus}`;
  const gateway = findGatewayError(connectError);
  return gateway === undefined ? `code ${connectError.code}` : (reasonNames[gateway.reason] ?? "unknown");
}

const reasonNames: Readonly<Record<number, string>> = Object.fromEntries(
  Object.entries(Reason).map(([name, value]) => [value, name]),
);
