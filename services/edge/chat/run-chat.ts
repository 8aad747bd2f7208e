import type { IncomingHttpHeaders } from "node:http";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import { gatewayError } from "#chassis/errors.ts";
import type { Principal } from "#gen/sluice/auth/v1/principal_pb.ts";
import { type Chat, ChatSchema, type Summary, SummarySchema } from "#gen/sluice/chat/v1/chat_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { type Finished, Operation, type Started } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { InferRequest } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import { checkRoute } from "../allowed-routes.ts";
import { invalidRequest } from "../body-json.ts";
import { readCallId } from "../call-id.ts";
import type { EdgeEvents } from "../events.ts";
import { readInferRequest } from "../infer-request.ts";
import type { NamedScopes } from "../named-scopes.ts";
import { admitRpc, type RpcParts } from "../rpc-caller.ts";
import { chatError } from "./chat-error.ts";
import { writeChatJson } from "./chat-json.ts";

/** What the RPCs of a chat work with. */
export interface ChatParts extends RpcParts {
  readonly events: EdgeEvents;
  readonly named: NamedScopes;
}

/** One step of an answer: a payload as the HTTP client would get it, or the end. */
export type ChatStep = { readonly payload: Uint8Array } | { readonly summary: Summary };

/**
 * Runs a chat as `POST /v1/chat/completions` runs it: the same body, key, headers, limits and records. Yields the payloads
 * and, exactly once and last, the summary. Throws what `chatError` makes of a failure.
 */
export async function* runChat(
  parts: ChatParts,
  chat: Chat | undefined,
  stream: boolean,
  handler: HandlerContext,
): AsyncGenerator<ChatStep> {
  const headers: IncomingHttpHeaders = Object.fromEntries(handler.requestHeader);
  let callId = readCallId(headers);
  const begun = performance.now();
  try {
    const { path, principal } = await admitRpc(parts, handler, headers);
    checkRoute(principal, { path, routeName: path, groups: ["llm_api_routes", "openai_routes"] });
    const request = readChat(parts, chat, stream, headers, callId, principal);
    if (request.caller !== undefined) await parts.named.apply(request.caller, request.model);
    callId = request.callId;
    handler.responseHeader.set(callIdHeader, callId);
    yield* infer(parts, request, handler.signal, begun);
  } catch (error) {
    const failure = chatError(error, callId);
    failure.error.metadata.set(callIdHeader, callId);
    if (failure.hidden) parts.events.failedInside({ callId, routeName: handler.method.name }, error);
    throw failure.error;
  }
}

const callIdHeader = "x-litellm-call-id";

function readChat(
  { context }: ChatParts,
  chat: Chat | undefined,
  stream: boolean,
  headers: IncomingHttpHeaders,
  callId: string,
  principal: Principal,
): InferRequest {
  if (chat === undefined) throw invalidRequest("'chat' is a required field.", "chat");
  const bytes = Buffer.from(JSON.stringify({ ...writeChatJson(ChatSchema, chat), stream }));
  const { maxBodyBytes } = context.config;
  if (bytes.length > maxBodyBytes) {
    throw gatewayError(Reason.BODY_TOO_LARGE, `The request body is larger than ${maxBodyBytes} bytes.`);
  }
  return readInferRequest({
    operation: Operation.CHAT_COMPLETIONS,
    bytes,
    headers,
    pathModel: "",
    callId,
    principal,
  });
}

async function* infer(
  { context, events }: ChatParts,
  request: InferRequest,
  signal: AbortSignal,
  begun: number,
): AsyncGenerator<ChatStep> {
  const { clients, config } = context;
  const stalled = new AbortController();
  let started: Started | undefined;
  let summary: Summary | undefined;
  let first = request.stream;
  for await (const { event } of clients.inference.infer(request, {
    signal: AbortSignal.any([signal, stalled.signal]),
  })) {
    if (event.case === "started") started = event.value;
    if (event.case === "finished") {
      summary = summarize(request, started, event.value);
      events.answered(request.operation, started, event.value);
    }
    if (event.case !== "chunk") continue;
    for (const payload of event.value.payloads) {
      if (first) events.firstPayload(request.operation, started, performance.now() - begun);
      first = false;
      const patience = setTimeout(() => stalled.abort(), config.stalledClientMs);
      try {
        yield { payload };
      } finally {
        clearTimeout(patience);
      }
    }
  }
  if (summary === undefined) throw new ConnectError("the answer ended before it was finished", Code.Internal);
  yield { summary };
}

function summarize({ callId }: InferRequest, started: Started | undefined, { usage, cost }: Finished): Summary {
  return create(SummarySchema, {
    callId,
    usage,
    cost,
    deployment: started?.deployment,
    modelGroup: started?.modelGroup,
    provider: started?.provider,
    attemptedRetries: started?.attemptedRetries,
    attemptedFallbacks: started?.attemptedFallbacks,
  });
}
