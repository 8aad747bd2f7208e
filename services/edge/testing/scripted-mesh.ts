import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { ConnectError, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import { findGatewayError, gatewayError } from "#chassis/errors.ts";
import type { EventBus } from "#chassis/events/bus.ts";
import { createInProcessBus } from "#chassis/events/in-process.ts";
import { createLogger } from "#chassis/log.ts";
import { createLocalClient } from "#chassis/rpc/local-client.ts";
import type { Implementation } from "#chassis/service.ts";
import { createTelemetry } from "#chassis/telemetry.ts";
import { AuthenticateRequestSchema, AuthService } from "#gen/sluice/auth/v1/auth_service_pb.ts";
import { LoginService } from "#gen/sluice/auth/v1/login_service_pb.ts";
import { type Principal, PrincipalSchema } from "#gen/sluice/auth/v1/principal_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { CallerKind } from "#gen/sluice/inference/v1/inference_pb.ts";
import {
  InferenceService,
  type InferRequest,
  type InferResponse,
  InferResponseSchema,
} from "#gen/sluice/inference/v1/inference_service_pb.ts";
import { RequestService } from "#gen/sluice/inference/v1/request_service_pb.ts";
import { CostState } from "#gen/sluice/inference/v1/usage_pb.ts";
import { Role } from "#gen/sluice/rest/v1/caller_pb.ts";
import { ModelService } from "#gen/sluice/router/v1/model_service_pb.ts";
import { type EdgeConfig, readEdgeConfig } from "../config.ts";
import type { HealthReport } from "../context.ts";
import { hashKey } from "../request-key.ts";
import type { RestBinding } from "../rest/rest-binding.ts";
import { createEdgeService } from "../service.ts";

export type InferScript = (request: InferRequest, signal: AbortSignal) => AsyncIterable<InferResponse>;

export interface MeshScript {
  infer?: InferScript;
  authenticate?: ServiceImpl<typeof AuthService>["authenticate"];
  authenticateToken?: ServiceImpl<typeof AuthService>["authenticateToken"];
  describeScope?: ServiceImpl<typeof AuthService>["describeScope"];
  health?: () => Promise<HealthReport>;
  requests?: Partial<ServiceImpl<typeof RequestService>>;
  login?: Partial<ServiceImpl<typeof LoginService>>;
  rest?: readonly RestBinding[];
  config?: Partial<EdgeConfig>;
  now?: () => number;
}

export interface TestEdge {
  readonly url: string;
  readonly port: number;
  /** Its RPCs, to be served by whoever tests them. */
  readonly implementations: readonly Implementation[];
  readonly events: EventBus;
  readonly logged: string[];
  /** The requests that reached the router. */
  readonly inferred: InferRequest[];
  close(): Promise<void>;
  /** Frees everything; the edge itself too, unless it was closed. */
  stop(): Promise<void>;
}

/** An edge on a real socket before a mesh that answers by script. The keys are `sk-master` and `sk-virtual`. */
export async function startTestEdge(script: MeshScript = {}): Promise<TestEdge> {
  const logged: string[] = [];
  const inferred: InferRequest[] = [];
  const log = createLogger("debug", (line) => logged.push(line));
  const events = createInProcessBus(log);
  const telemetry = createTelemetry();
  const authenticate = script.authenticate ?? authenticateByScript;
  const edge = createEdgeService({
    clients: {
      auth: createLocalClient(AuthService, {
        authenticate,
        authenticateKeys: (request, context) => authenticateEach(authenticate, request, context),
        authenticateToken: script.authenticateToken ?? refuseToken,
        describeScope: script.describeScope ?? (() => ({})),
      }),
      inference: createLocalClient(InferenceService, {
        infer(request, { signal }) {
          inferred.push(request);
          return (script.infer ?? answerWhole)(request, signal);
        },
      }),
      models: createLocalClient(ModelService, {
        listModels: () => ({ models: modelList }),
        getModel: ({ id }) => findModel(id),
      }),
      requests: createLocalClient(RequestService, script.requests ?? {}),
      login: createLocalClient(LoginService, script.login ?? {}),
      rest: script.rest ?? [],
    },
    events,
    config: { ...readEdgeConfig({}, "0.0.0-test"), ...script.config },
    log,
    meter: telemetry.meter("edge"),
    metrics: telemetry.scrape,
    health: script.health ?? (async () => ({ ready: true, db: "connected" })),
    now: script.now ?? Date.now,
  });
  const server = createServer(edge.handler);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  let closed: Promise<void> | undefined;
  const close = () => {
    closed ??= edge.close();
    return closed;
  };
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    implementations: edge.implementations,
    events,
    logged,
    inferred,
    close,
    async stop() {
      server.closeAllConnections();
      await close();
      await new Promise((resolve) => server.close(resolve));
      await telemetry.close();
    },
  };
}

const modelList = [
  { id: "gpt-4o", ownedBy: "openai", createdAt: timestampFromMs(1_677_610_602_000) },
  { id: "mock/echo", ownedBy: "mock" },
];

function findModel(id: string) {
  const model = modelList.find((candidate) => candidate.id === id);
  if (model === undefined) throw gatewayError(Reason.MODEL_NOT_FOUND, `The model '${id}' does not exist`);
  return { model };
}

export function keyHashOf(key: string): string {
  return hashKey(key);
}

const principals = new Map<string, Principal>([
  [
    keyHashOf("sk-master"),
    create(PrincipalSchema, {
      kind: CallerKind.MASTER,
      roles: [Role.PROXY_ADMIN, Role.KEY],
      keyId: keyHashOf("sk-master"),
    }),
  ],
  [
    keyHashOf("sk-virtual"),
    create(PrincipalSchema, {
      kind: CallerKind.VIRTUAL_KEY,
      keyId: keyHashOf("sk-virtual"),
      keyAlias: "tests",
      roles: [Role.KEY],
      models: ["gpt-4o"],
      scopes: [{ scope: `key:${keyHashOf("sk-virtual")}` }],
    }),
  ],
]);

function authenticateByScript({ keyHash }: { keyHash: string }) {
  const principal = principals.get(keyHash);
  if (principal === undefined) throw gatewayError(Reason.KEY_INVALID, "no such key");
  return { principal };
}

/** Several keys as auth answers them: those that nobody knows are left out. */
export async function authenticateEach(
  authenticate: ServiceImpl<typeof AuthService>["authenticate"],
  { keyHashes }: { readonly keyHashes: readonly string[] },
  context: HandlerContext,
) {
  const principals: Record<string, Principal> = {};
  for (const keyHash of keyHashes) {
    try {
      const { principal } = await authenticate(create(AuthenticateRequestSchema, { keyHash }), context);
      if (principal !== undefined) principals[keyHash] = create(PrincipalSchema, principal);
    } catch (error) {
      if (findGatewayError(ConnectError.from(error))?.reason !== Reason.KEY_INVALID) throw error;
    }
  }
  return { principals };
}

function refuseToken(): never {
  throw gatewayError(Reason.KEY_INVALID, "no such token", { param: "token" });
}

/** The events of an answer: a head, one chunk per list of payloads, the last one marked, and the end. */
export function* answerOf(contentType: string, chunks: readonly (readonly string[])[]): Generator<InferResponse> {
  yield startedEvent(contentType);
  for (const [index, payloads] of chunks.entries()) yield chunkEvent(payloads, index === chunks.length - 1);
  yield finishedEvent();
}

export function startedEvent(contentType: string): InferResponse {
  return create(InferResponseSchema, {
    event: {
      case: "started",
      value: {
        status: 200,
        contentType,
        deployment: "deployment-1",
        provider: "mock",
        modelGroup: "gpt-4o",
        attemptedRetries: 1,
        upstreamFirstPayloadUs: 100,
        headers: { "llm_provider-x-request-id": "req-1", "set-cookie": "no=1", "x-ratelimit-remaining-requests": "9" },
      },
    },
  });
}

export function chunkEvent(payloads: readonly string[], last = false): InferResponse {
  const value = { payloads: payloads.map((payload) => Buffer.from(payload)), last };
  return create(InferResponseSchema, { event: { case: "chunk", value } });
}

export function finishedEvent(): InferResponse {
  return create(InferResponseSchema, {
    event: {
      case: "finished",
      value: {
        usage: { inputTokens: 3n, outputTokens: 2n },
        cost: { nanoUsd: 12_345n, state: CostState.PRICED },
        finishReason: "stop",
        timing: { upstreamFirstPayloadUs: 100n, upstreamTotalUs: 200n },
      },
    },
  });
}

async function* answerWhole(request: InferRequest): AsyncIterable<InferResponse> {
  yield* answerOf("application/json", [[JSON.stringify({ echo: request.model })]]);
}
