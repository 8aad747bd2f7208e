import { AsyncLocalStorage } from "node:async_hooks";
import {
  type Attributes,
  createTraceState,
  isSpanContextValid,
  ROOT_CONTEXT,
  type Span,
  type SpanKind,
  SpanStatusCode,
  trace,
} from "@opentelemetry/api";
import type { TracerProviderOptions } from "@opentelemetry/sdk-trace";
import type { Secret } from "./secret.ts";
import { attributeNames } from "./telemetry-names.ts";

/** Where spans go, and how many. */
export interface TracingConfig {
  /** The OTLP/HTTP address of a collector, `/v1/traces` included. */
  readonly url: string;
  /** Headers for the collector; they may hold its key. */
  readonly headers: ReadonlyMap<string, Secret>;
  readonly serviceName: string;
  /** The part of the traces that begin here which is recorded, 0 to 1. A caller's own decision is kept. */
  readonly ratio: number;
  /** Whether providers are told the trace, in the header `traceparent`. */
  readonly upstream: boolean;
}

/** What a peer says of the trace that a call belongs to, https://www.w3.org/TR/trace-context/ */
export interface TraceHeaders {
  readonly traceparent: string | undefined;
  readonly tracestate: string | undefined;
}

/** One step of a trace. It ends once, and what it is told after that is forgotten. */
export interface TraceSpan {
  set(attributes: Attributes): void;
  /** `errorType`: what went wrong, in a few words that hold nothing of the call; undefined where nothing did. */
  end(errorType?: string): void;
  /** Runs work as a part of this step: steps that begin in it are below this one. */
  run<T>(work: () => T): T;
  /** What a peer is told of this step. */
  readonly headers: Readonly<Record<string, string>>;
}

/** The traces of a process. */
export interface Tracing {
  /** Begins a step below the one that runs, else below the peer's, else a trace of its own. */
  start(name: string, kind: SpanKind, attributes: Attributes, peer: TraceHeaders): TraceSpan;
  /** What a peer is told of the step that runs; nothing where none does. */
  headers(): Readonly<Record<string, string>>;
  /** Sends what is left. */
  close(): Promise<void>;
}

/** The longest that the last spans may take to be sent. */
const flushMs = 3_000;

/** Loads the SDK and starts sending. A collector that is away costs the spans and nothing else. */
export async function createTracing(config: TracingConfig): Promise<Tracing> {
  const { BatchSpanProcessor, ParentBasedSampler, TraceIdRatioBasedSampler, TracerProvider } = await import(
    "@opentelemetry/sdk-trace"
  );
  const { OTLPTraceExporter } = await import("@opentelemetry/exporter-trace-otlp-http");
  const headers = Object.fromEntries([...config.headers].map(([name, secret]) => [name, secret.reveal()]));
  const exporter = new OTLPTraceExporter({ url: config.url, headers, timeoutMillis: flushMs });
  const provider = new TracerProvider({
    resource: resourceOf({ "service.name": config.serviceName }),
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(config.ratio) }),
    spanProcessors: [new BatchSpanProcessor({ exporter })],
  });
  const tracer = provider.getTracer("sluice");
  const running = new AsyncLocalStorage<Span>();
  return {
    start(name, kind, attributes, peer) {
      const above = running.getStore();
      const context = above === undefined ? peerContext(peer) : trace.setSpan(ROOT_CONTEXT, above);
      return new RunningSpan(tracer.startSpan(name, { kind, attributes }, context), running);
    },
    headers() {
      const span = running.getStore();
      return span === undefined ? {} : headersOf(span);
    },
    close: () => provider.shutdown().catch(() => undefined),
  };
}

class RunningSpan implements TraceSpan {
  readonly #span: Span;
  readonly #running: AsyncLocalStorage<Span>;

  constructor(span: Span, running: AsyncLocalStorage<Span>) {
    this.#span = span;
    this.#running = running;
  }

  get headers(): Readonly<Record<string, string>> {
    return headersOf(this.#span);
  }

  set(attributes: Attributes): void {
    this.#span.setAttributes(attributes);
  }

  end(errorType?: string): void {
    if (!this.#span.isRecording()) return;
    if (errorType !== undefined) {
      this.#span.setAttribute(attributeNames.errorType, errorType);
      this.#span.setStatus({ code: SpanStatusCode.ERROR });
    }
    this.#span.end();
  }

  run<T>(work: () => T): T {
    return this.#running.run(this.#span, work);
  }
}

function headersOf(span: Span): Record<string, string> {
  const { traceId, spanId, traceFlags, traceState } = span.spanContext();
  const traceparent = `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, "0")}`;
  const tracestate = traceState?.serialize() ?? "";
  return tracestate === "" ? { traceparent } : { traceparent, tracestate };
}

const traceparentPattern = /^(?!ff)[\da-f]{2}-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})(?:-|$)/;
const maxTracestateLength = 512;

function peerContext({ traceparent, tracestate }: TraceHeaders) {
  const [, traceId = "", spanId = "", flags = ""] = traceparentPattern.exec(traceparent ?? "") ?? [];
  const context = { traceId, spanId, traceFlags: Number.parseInt(flags || "0", 16), isRemote: true };
  if (!isSpanContextValid(context)) return ROOT_CONTEXT;
  const known = tracestate !== undefined && tracestate.length <= maxTracestateLength;
  const traceState = known ? createTraceState(tracestate) : undefined;
  return trace.setSpanContext(ROOT_CONTEXT, { ...context, traceState });
}

type Resource = NonNullable<TracerProviderOptions["resource"]>;

function resourceOf(attributes: Attributes): Resource {
  return {
    attributes,
    getRawAttributes: () => Object.entries(attributes),
    merge: (other) => resourceOf({ ...attributes, ...other?.attributes }),
  };
}
