import type { Attributes, Meter } from "@opentelemetry/api";
import { errorText, type Logger } from "#chassis/log.ts";
import { attributeNames, durationBuckets, metricNames, tokenBuckets } from "#chassis/telemetry-names.ts";
import { type Finished, Operation, type Started } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Usage } from "#gen/sluice/inference/v1/usage_pb.ts";
import type { HttpCall } from "./http-call.ts";

/** What the edge tells its operators: one function per event. */
export interface EdgeEvents {
  requestStarted(): void;
  /** `status` is 499 where the client left first. */
  requestEnded(call: HttpCall, status: number): void;
  /** The head and the first payload of a stream have left. */
  firstPayload(operation: Operation, started: Started | undefined, elapsedMs: number): void;
  answered(operation: Operation, started: Started | undefined, finished: Finished): void;
  /** A stream ended with an error after its head had left. */
  streamFailed(call: HttpCall, status: number): void;
  /** An error that no client may see. */
  failedInside(call: Pick<HttpCall, "callId" | "routeName">, error: unknown): void;
  authUnanswered(error: unknown): void;
}

/** The operations in the words of OpenTelemetry. */
export const operationNames: Readonly<Record<Operation, string>> = {
  [Operation.UNSPECIFIED]: "unknown",
  [Operation.CHAT_COMPLETIONS]: "chat",
  [Operation.COMPLETIONS]: "text_completion",
  [Operation.RESPONSES]: "responses",
  [Operation.MESSAGES]: "messages",
  [Operation.EMBEDDINGS]: "embeddings",
  [Operation.RERANK]: "rerank",
  [Operation.GENERATE_CONTENT]: "generate_content",
  [Operation.EMBED_CONTENT]: "embeddings",
};

export function createEdgeEvents(meter: Meter, log: Logger): EdgeEvents {
  const seconds = { unit: "s", advice: { explicitBucketBoundaries: durationBuckets } };
  const duration = meter.createHistogram(metricNames.httpDuration, { ...seconds, description: "HTTP requests" });
  const active = meter.createUpDownCounter(metricNames.httpActive, { description: "HTTP requests in flight" });
  const firstToken = meter.createHistogram(metricNames.genAiTimeToFirstToken, {
    ...seconds,
    description: "Time from the request to the first payload of a stream",
  });
  const tokens = meter.createHistogram(metricNames.genAiTokens, {
    unit: "{token}",
    advice: { explicitBucketBoundaries: tokenBuckets },
    description: "Tokens of a call",
  });
  const brokenStreams = meter.createCounter("sluice.edge.broken_streams", {
    description: "Streams that ended with an error after their head",
  });
  const httpAttributes = new AttributeTable(attributesOfRequest);
  const callAttributes = new AttributeTable(attributesOfCall);

  return {
    requestStarted: () => active.add(1),
    requestEnded(call, status) {
      const method = call.request.method ?? "";
      const elapsedMs = performance.now() - call.startedAt;
      active.add(-1);
      duration.record(elapsedMs / 1000, httpAttributes.get(call.routeName, method, status));
      log.debug("request", { call_id: call.callId, method, route: call.routeName, status, ms: Math.round(elapsedMs) });
    },
    firstPayload(operation, started, elapsedMs) {
      firstToken.record(elapsedMs / 1000, callAttributes.get(providerOf(started), "", operation));
    },
    answered(operation, started, { usage }) {
      if (usage === undefined) return;
      const provider = providerOf(started);
      tokens.record(inputTokens(usage), callAttributes.get(provider, "input", operation));
      tokens.record(Number(usage.outputTokens), callAttributes.get(provider, "output", operation));
    },
    streamFailed(call, status) {
      brokenStreams.add(1, { [attributeNames.errorType]: String(status) });
      log.warn("stream broke", { call_id: call.callId, route: call.routeName, status });
    },
    failedInside(call, error) {
      log.error("request failed", { call_id: call.callId, route: call.routeName, error: causes(error) });
    },
    authUnanswered: (error) => log.warn("auth does not answer", { error: causes(error) }),
  };
}

/** All input, cached or not. */
export function inputTokens(usage: Usage): number {
  const { inputTokens, cacheReadTokens, cacheWriteTokens, cacheWrite1hTokens } = usage;
  return Number(inputTokens) + Number(cacheReadTokens) + Number(cacheWriteTokens) + Number(cacheWrite1hTokens);
}

/** An error with what was underneath, for the log. */
function causes(error: unknown): string {
  const texts: string[] = [];
  for (let at: unknown = error; at !== undefined && texts.length < 5; at = at instanceof Error ? at.cause : undefined) {
    texts.push(errorText(at));
  }
  return texts.join(": ");
}

function providerOf(started: Started | undefined): string {
  return started?.provider || "unknown";
}

function attributesOfRequest(route: string, method: string, status: number): Attributes {
  return {
    [attributeNames.httpMethod]: method,
    [attributeNames.httpRoute]: route,
    [attributeNames.httpStatus]: status,
  };
}

function attributesOfCall(provider: string, tokenType: string, operation: Operation): Attributes {
  return {
    [attributeNames.operation]: operationNames[operation],
    [attributeNames.provider]: provider,
    ...(tokenType === "" ? {} : { [attributeNames.tokenType]: tokenType }),
  };
}

/** Attribute sets are made once: there are few, and making one, or a text to find it by, costs more than recording. */
class AttributeTable<K extends number> {
  readonly #make: (first: string, second: string, third: K) => Attributes;
  readonly #known = new Map<string, Map<string, Map<K, Attributes>>>();

  constructor(make: (first: string, second: string, third: K) => Attributes) {
    this.#make = make;
  }

  get(first: string, second: string, third: K): Attributes {
    return this.#known.get(first)?.get(second)?.get(third) ?? this.#add(first, second, third);
  }

  #add(first: string, second: string, third: K): Attributes {
    const attributes = this.#make(first, second, third);
    const bySecond = this.#known.get(first) ?? new Map<string, Map<K, Attributes>>();
    const byThird = bySecond.get(second) ?? new Map<K, Attributes>();
    this.#known.set(first, bySecond.set(second, byThird.set(third, attributes)));
    return attributes;
  }
}
