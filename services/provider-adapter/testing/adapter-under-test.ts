import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Client, Code, ConnectError } from "@connectrpc/connect";
import { createLogger } from "#chassis/log.ts";
import { createLocalClient } from "#chassis/rpc/local-client.ts";
import { createSealer } from "#chassis/sealing.ts";
import { Secret } from "#chassis/secret.ts";
import { createTelemetry } from "#chassis/telemetry.ts";
import {
  type CallerSchema,
  type Finished,
  Operation,
  type Started,
  type TargetSchema,
} from "#gen/sluice/inference/v1/inference_pb.ts";
import { InferenceService, type InferRequestSchema } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import { RequestService } from "#gen/sluice/inference/v1/request_service_pb.ts";
import { type AdapterConfig, readEnv } from "../config.ts";
import { createProviderAdapterService } from "../service.ts";

/** What a call answered, put together. */
export interface Collected {
  readonly started: Started | undefined;
  /** All payloads as one text. */
  readonly text: string;
  readonly payloads: readonly string[];
  /** Of each chunk, whether it was marked the last. */
  readonly lasts: readonly boolean[];
  readonly finished: Finished | undefined;
  readonly error: ConnectError | undefined;
}

export interface CallSettings {
  readonly operation?: Operation;
  readonly stream?: boolean;
  readonly body?: unknown;
  readonly target: MessageInitShape<typeof TargetSchema>;
  readonly headers?: Record<string, string>;
  readonly caller?: MessageInitShape<typeof CallerSchema>;
  readonly signal?: AbortSignal;
  /** Called with the texts of every chunk as it comes. */
  readonly onChunk?: (payloads: readonly string[]) => void;
}

/** An adapter in this process, behind the generated client. */
export interface AdapterUnderTest {
  seal(key: string): Uint8Array;
  call(settings: CallSettings): Promise<Collected>;
  readonly requests: Client<typeof RequestService>;
  /** Reads one event of the answer and leaves. */
  firstEvent(settings: CallSettings): Promise<void>;
  /** The metrics, in Prometheus' format. */
  scrape(): Promise<string>;
  readonly logLines: readonly string[];
  close(): Promise<void>;
}

export function startAdapter(config: Partial<AdapterConfig> = {}): AdapterUnderTest {
  const telemetry = createTelemetry();
  const sealer = createSealer(new Secret("sk-test-master"));
  const logLines: string[] = [];
  const service = createProviderAdapterService({
    config: { ...readEnv({}), ...config },
    sealer,
    log: createLogger("debug", (line) => logLines.push(line)),
    meter: telemetry.meter("provider-adapter"),
  });
  const [hosted, requests] = service.implementations;
  const client = createLocalClient(InferenceService, hosted?.implementation ?? {});
  return {
    seal: (key) => sealer.seal(new Secret(key)),
    call: (settings) => collect(client.infer(requestOf(settings), { signal: settings.signal }), settings),
    requests: createLocalClient(RequestService, requests?.implementation ?? {}),
    async firstEvent(settings) {
      for await (const _ of client.infer(requestOf(settings))) return;
    },
    scrape: () => telemetry.scrape(),
    logLines,
    async close() {
      await service.close();
      await telemetry.close();
    },
  };
}

/** The request of a call: a small chat completion unless the settings say otherwise. */
export function requestOf(settings: CallSettings): MessageInitShape<typeof InferRequestSchema> {
  const { body = { model: "m", messages: [{ role: "user", content: "Hello!" }] } } = settings;
  return {
    callId: "call-1",
    operation: settings.operation ?? Operation.CHAT_COMPLETIONS,
    model: "group",
    stream: settings.stream ?? false,
    contentType: "application/json",
    body: typeof body === "string" ? Buffer.from(body) : Buffer.from(JSON.stringify(body)),
    headers: settings.headers ?? {},
    caller: settings.caller,
    shape: { inputTokens: 7, choices: 1 },
    target: { deployment: "deployment-1", ...settings.target },
  };
}

async function collect(
  stream: ReturnType<ReturnType<typeof createLocalClient<typeof InferenceService>>["infer"]>,
  settings: CallSettings,
): Promise<Collected> {
  const payloads: string[] = [];
  const lasts: boolean[] = [];
  let started: Started | undefined;
  let finished: Finished | undefined;
  let error: ConnectError | undefined;
  try {
    for await (const { event } of stream) {
      if (event.case === "started") started = event.value;
      if (event.case === "finished") finished = event.value;
      if (event.case !== "chunk") continue;
      const texts = event.value.payloads.map((payload) => Buffer.from(payload).toString());
      payloads.push(...texts);
      lasts.push(event.value.last);
      settings.onChunk?.(texts);
    }
  } catch (thrown) {
    error = ConnectError.from(thrown, Code.Unknown);
  }
  return { started, text: payloads.join(""), payloads, lasts, finished, error };
}
