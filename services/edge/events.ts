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
  const httpAttributes = new AttributeCache();
  const callAttributes = new AttributeCache();

  return {
    requestStarted: () => active.add(1),
    requestEnded(call, status) {
      const method = call.request.method ?? "";
      const elapsedMs = performance.now() - call.startedAt;
      active.add(-1);
      duration.record(
        elapsedMs / 1000,
        httpAttributes.get(`${method} ${call.routeName} ${status}`, () => ({
          [attributeNames.httpMethod]: method,
          [attributeNames.httpRoute]: call.routeName,
          [attributeNames.httpStatus]: status,
        })),
      );
      log.debug("request", { call_id: call.callId, method, route: call.routeName, status, ms: Math.round(elapsedMs) });
    },
    firstPayload(operation, started, elapsedMs) {
      firstToken.record(elapsedMs / 1000, callAttributes.ofCall(operation, started, ""));
    },
    answered(operation, started, { usage }) {
      if (usage === undefined) return;
      tokens.record(inputTokens(usage), callAttributes.ofCall(operation, started, "input"));
      tokens.record(Number(usage.outputTokens), callAttributes.ofCall(operation, started, "output"));
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
  return Number(usage.inputTokens + usage.cacheReadTokens + usage.cacheWriteTokens + usage.cacheWrite1hTokens);
}

/** An error with what was underneath, for the log. */
function causes(error: unknown): string {
  const texts: string[] = [];
  for (let at: unknown = error; at !== undefined && texts.length < 5; at = at instanceof Error ? at.cause : undefined) {
    texts.push(errorText(at));
  }
  return texts.join(": ");
}

/** Attribute sets are made once: there are few, and making them costs more than recording. */
class AttributeCache {
  readonly #known = new Map<string, Attributes>();

  get(key: string, make: () => Attributes): Attributes {
    let attributes = this.#known.get(key);
    if (attributes === undefined) {
      attributes = make();
      this.#known.set(key, attributes);
    }
    return attributes;
  }

  ofCall(operation: Operation, started: Started | undefined, tokenType: string): Attributes {
    const provider = started?.provider || "unknown";
    return this.get(`${operation} ${provider} ${tokenType}`, () => ({
      [attributeNames.operation]: operationNames[operation],
      [attributeNames.provider]: provider,
      ...(tokenType === "" ? {} : { [attributeNames.tokenType]: tokenType }),
    }));
  }
}
