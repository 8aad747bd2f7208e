import type { DescService } from "@bufbuild/protobuf";
import {
  type CallOptions,
  type Client,
  Code,
  ConnectError,
  type HandlerContext,
  makeAnyClient,
} from "@connectrpc/connect";
import { type Attributes, SpanKind } from "@opentelemetry/api";
import { findGatewayError, findUpstreamError } from "#chassis/errors.ts";
import { createLocalClient } from "#chassis/rpc/local-client.ts";
import { type HostedService, type Implementation, implement, type ServiceName } from "#chassis/service.ts";
import { attributeNames } from "#chassis/telemetry-names.ts";
import type { TraceHeaders, TraceSpan, Tracing } from "#chassis/tracing.ts";
import { ChatService } from "#gen/sluice/chat/v1/chat_service_pb.ts";
import { Reason, UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import type { Finished, Started } from "#gen/sluice/inference/v1/inference_pb.ts";
import {
  InferenceService,
  type InferRequest,
  type InferResponse,
} from "#gen/sluice/inference/v1/inference_service_pb.ts";
import { inputTokens, operationNames } from "../edge/events.ts";

/**
 * A service whose model calls, and whose RPCs for clients, are steps of a trace. `upstream`: providers are told of it. What
 * a client asked and what a model said is in no span.
 */
export function tracedService<T extends HostedService>(service: T, tracing: Tracing, upstream: boolean): T {
  const implementations = service.implementations.map((implementation) => {
    if (implementation.service === ChatService) return tracedChats(implementation, tracing);
    if (implementation.service !== InferenceService) return implementation;
    return tracedInference(service.name, implementation, tracing, upstream);
  });
  return { ...service, implementations };
}

/** A client of another process that tells it the step that runs. */
export function tracedClient<S extends DescService>(service: S, client: Client<S>, tracing: Tracing): Client<S> {
  const untraced = client as Record<string, (request: object, options: CallOptions) => unknown>;
  return makeAnyClient(service, (method) => (request: object, options: CallOptions = {}) => {
    const headers = new Headers(options.headers);
    for (const [name, value] of Object.entries(tracing.headers())) headers.set(name, value);
    return untraced[method.localName]?.(request, { ...options, headers });
  }) as Client<S>;
}

function tracedInference(
  host: ServiceName,
  { implementation }: Implementation,
  tracing: Tracing,
  upstream: boolean,
): Implementation {
  const client = createLocalClient(InferenceService, implementation);
  const isAdapter = host === "provider-adapter";
  return implement(InferenceService, {
    infer(request, context) {
      const model = (isAdapter ? request.target?.model : undefined) ?? request.model;
      const name = `${operationNames[request.operation]} ${model}`;
      const kind = isAdapter ? SpanKind.CLIENT : SpanKind.INTERNAL;
      const span = tracing.start(name, kind, attributesOf(request, model), headersOf(context));
      const told = isAdapter && upstream ? withHeaders(request, span.headers) : request;
      return traced(
        span,
        () => client.infer(told, passedOn(context)),
        (response) => see(span, response),
      );
    },
  });
}

function tracedChats({ implementation }: Implementation, tracing: Tracing): Implementation {
  const client = createLocalClient(ChatService, implementation);
  const start = (context: HandlerContext) => {
    const { name } = context.method;
    const attributes = { [attributeNames.rpcMethod]: `${ChatService.typeName}/${name}` };
    return tracing.start(name, SpanKind.SERVER, attributes, headersOf(context));
  };
  return implement(ChatService, {
    async createChatCompletion(request, context) {
      const span = start(context);
      try {
        const answer = await span.run(() => client.createChatCompletion(request, passedOn(context)));
        span.end();
        return answer;
      } catch (error) {
        span.end(errorType(error));
        throw error;
      }
    },
    streamChatCompletion(request, context) {
      const span = start(context);
      return traced(
        span,
        () => client.streamChatCompletion(request, passedOn(context)),
        () => {},
      );
    },
  });
}

/** A stream that runs as a part of a step, and ends the step with itself. */
function traced<T>(span: TraceSpan, open: () => AsyncIterable<T>, seen: (value: T) => void): AsyncIterable<T> {
  const inner = span.run(() => open()[Symbol.asyncIterator]());
  const iterator: AsyncIterableIterator<T> = {
    [Symbol.asyncIterator]: () => iterator,
    async next() {
      try {
        const result = await span.run(() => inner.next());
        if (result.done) span.end();
        else seen(result.value);
        return result;
      } catch (error) {
        span.end(errorType(error));
        throw error;
      }
    },
    async return(value) {
      span.end("canceled");
      await inner.return?.();
      return { done: true, value };
    },
  };
  return iterator;
}

function headersOf({ requestHeader }: HandlerContext): TraceHeaders {
  return {
    traceparent: requestHeader.get("traceparent") ?? undefined,
    tracestate: requestHeader.get("tracestate") ?? undefined,
  };
}

function passedOn(context: HandlerContext): CallOptions {
  const copy = (to: Headers) => (from: Headers) => {
    for (const [name, value] of from) to.set(name, value);
  };
  return {
    signal: context.signal,
    timeoutMs: context.timeoutMs(),
    headers: context.requestHeader,
    onHeader: copy(context.responseHeader),
    onTrailer: copy(context.responseTrailer),
  };
}

function withHeaders(request: InferRequest, headers: Readonly<Record<string, string>>): InferRequest {
  const { target } = request;
  return target === undefined
    ? request
    : { ...request, target: { ...target, headers: { ...headers, ...target.headers } } };
}

function attributesOf({ operation, callId, shape, target }: InferRequest, model: string): Attributes {
  return {
    [attributeNames.operation]: operationNames[operation],
    [attributeNames.requestModel]: model,
    [attributeNames.requestMaxTokens]: shape?.maxOutputTokens,
    [attributeNames.provider]: target?.provider,
    [attributeNames.deployment]: target?.deployment,
    [attributeNames.callId]: callId,
  };
}

function see(span: TraceSpan, { event }: InferResponse): void {
  if (event.case === "started") span.set(startedAttributes(event.value));
  if (event.case !== "finished") return;
  span.set(finishedAttributes(event.value));
  // Whoever asked may stop here: all is said.
  span.end();
}

function startedAttributes({ provider, deployment, attemptedRetries, attemptedFallbacks }: Started): Attributes {
  return {
    [attributeNames.provider]: provider,
    [attributeNames.deployment]: deployment,
    [attributeNames.retries]: attemptedRetries,
    [attributeNames.fallbacks]: attemptedFallbacks,
  };
}

function finishedAttributes({ usage, cost, finishReason, responseModel, responseId }: Finished): Attributes {
  return {
    [attributeNames.responseModel]: responseModel || undefined,
    [attributeNames.responseId]: responseId || undefined,
    [attributeNames.finishReasons]: finishReason === "" ? undefined : [finishReason],
    [attributeNames.inputTokens]: usage && inputTokens(usage),
    [attributeNames.outputTokens]: usage && Number(usage.outputTokens),
    [attributeNames.costNanoUsd]: cost && Number(cost.nanoUsd),
  };
}

/** A few words out of a fixed set: what a provider said may be anything. */
function errorType(thrown: unknown): string {
  const error = ConnectError.from(thrown, Code.Internal);
  const upstream = findUpstreamError(error);
  if (upstream !== undefined) return nameOf(UpstreamErrorKind, upstream.kind);
  const gateway = findGatewayError(error);
  return gateway === undefined ? nameOf(Code, error.code) : nameOf(Reason, gateway.reason);
}

function nameOf(values: Readonly<Record<string, unknown>>, value: number): string {
  const found = Object.entries(values).find(([, candidate]) => candidate === value);
  return found === undefined ? "unknown" : found[0].toLowerCase();
}
