import { setTimeout as sleep } from "node:timers/promises";
import { upstreamError } from "#chassis/errors.ts";
import type { InferResponse } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import { mediaType, readBody } from "./answer-body.ts";
import { headersForClient } from "./answer-headers.ts";
import type { Authorizers } from "./authorize.ts";
import { AwsEventStreamSplitter } from "./aws-eventstream.ts";
import type { AdapterConfig } from "./config.ts";
import { malformedAnswer } from "./failure.ts";
import { followed } from "./follow-up.ts";
import type { InferAnswer } from "./infer-answer.ts";
import { NdjsonSplitter } from "./ndjson.ts";
import type { Exchange, Framing, Provider, ProviderCall } from "./provider.ts";
import { SseSplitter } from "./sse.ts";
import type { Upstream, UpstreamAnswer } from "./upstream.ts";

/** Cuts the body of a stream into whole events. */
interface Splitter {
  push(chunk: Uint8Array): Uint8Array[];
  /** The body is over: what is left of it, if that may be an event. */
  end(): Uint8Array | undefined;
}

/** How much of a failed answer is read. */
const maxErrorBytes = 64 * 1024;
/** How long a trailer may come behind the closing event of a stream. */
const trailerMs = 250;

/** What a call needs to reach its provider. */
export interface UpstreamParts {
  readonly config: AdapterConfig;
  readonly upstream: Upstream;
  readonly authorizers: Authorizers;
}

/**
 * Sends a call to its provider. Resolves with the answer: its events at once where it came whole, else as they come. The
 * latter have to be read, or returned, for the connection to be freed.
 */
export async function openAnswer(
  { config, upstream, authorizers }: UpstreamParts,
  provider: Provider,
  call: ProviderCall,
  answer: InferAnswer,
  signal: AbortSignal,
): Promise<readonly InferResponse[] | AsyncGenerator<InferResponse>> {
  const exchange = provider.begin(call);
  const { request } = exchange;
  const authorize = provider.authorizer === undefined ? undefined : authorizers[provider.authorizer];
  const complete = authorize === undefined ? request : await authorize(call, request, signal);
  const first = await upstream.send(complete, signal);
  const response = await followed(first, exchange, upstream, config.maxBodyBytes, signal);
  if (response.status < 300 && call.stream && !notAStream.has(mediaType(response))) {
    return streamed(config, exchange, response, provider, answer);
  }
  try {
    if (response.status >= 400) throw await failedAnswer(provider, response);
    if (response.status >= 300)
      throw malformedAnswer(provider.id, "it answered with a redirect, which is not followed");
    const { body, complete } = await readBody(response, config.maxBodyBytes);
    if (!complete) throw malformedAnswer(provider.id, `the answer is larger than ${config.maxBodyBytes} bytes`);
    if (call.stream && exchange.decodeWhole !== undefined) return toldAsStream(exchange, body, response, answer);
    // An answer that is an error says so here, whatever was asked for.
    const payload = exchange.decodeBody(body);
    if (call.stream) throw malformedAnswer(provider.id, "it answered a request for a stream with a whole answer");
    return [
      answer.start(headersForClient(response.headers)),
      answer.chunk([payload], true),
      answer.finish(exchange.outcome()),
    ];
  } finally {
    response.cancel();
  }
}

/** The stream that a whole answer makes, where the provider may send one. */
function toldAsStream(
  exchange: Exchange,
  body: Uint8Array,
  response: UpstreamAnswer,
  answer: InferAnswer,
): readonly InferResponse[] {
  const payloads = exchange.decodeWhole?.(body) ?? [];
  const closing = exchange.finish();
  return [
    answer.start(headersForClient(response.headers)),
    answer.chunk(payloads, false),
    answer.chunk(closing, true),
    answer.finish(exchange.outcome()),
  ];
}

/** Yields the events of a stream, and frees its connection at the end. */
async function* streamed(
  config: AdapterConfig,
  exchange: Exchange,
  response: UpstreamAnswer,
  provider: Provider,
  answer: InferAnswer,
): AsyncGenerator<InferResponse> {
  const splitter = createSplitter(exchange.framing, config.maxEventBytes);
  const start = () => answer.start(headersForClient(response.headers));
  try {
    let complete = false;
    while (exchange.progress !== "closed") {
      const pieces = await (exchange.progress === "closing" ? within(trailerMs, response.read()) : response.read());
      complete = pieces === undefined;
      if (pieces === undefined || pieces === "late") break;
      const payloads: Uint8Array[] = [];
      const failure = decodePieces(splitter, exchange, pieces, payloads);
      if (payloads.length > 0) {
        if (!answer.started) yield start();
        yield answer.chunk(payloads, false);
      }
      if (failure !== undefined) throw failure.error;
    }
    // A trailer that is late may be half of an event so far.
    const unfinished = complete ? splitter.end() : undefined;
    const rest = unfinished === undefined ? [] : decodeRest(exchange, unfinished, provider);
    const closing = exchange.finish();
    response.release();
    if (!answer.started) yield start();
    if (rest.length > 0) yield answer.chunk(rest, false);
    yield answer.chunk(closing, true);
    yield answer.finish(exchange.outcome());
  } finally {
    response.cancel();
  }
}

/**
 * Adds the payloads of what has come. A failure is returned with those before it already added: a network read may hold
 * the last words of an answer and the error behind them.
 */
function decodePieces(
  splitter: Splitter,
  exchange: Exchange,
  pieces: readonly Uint8Array[],
  payloads: Uint8Array[],
): { readonly error: unknown } | undefined {
  try {
    for (const piece of pieces) {
      const events = splitter.push(piece);
      if (events.length === 0) continue;
      const passed = exchange.passEvents?.(events);
      if (passed !== undefined) payloads.push(...passed);
      else for (const event of events) payloads.push(...exchange.decodeEvents([event]));
    }
    return undefined;
  } catch (error) {
    return { error };
  }
}

function createSplitter(framing: Framing | undefined, maxEventBytes: number): Splitter {
  if (framing === "ndjson") return new NdjsonSplitter(maxEventBytes);
  return framing === "aws-eventstream" ? new AwsEventStreamSplitter(maxEventBytes) : new SseSplitter(maxEventBytes);
}

/** What came behind the last blank line may be a whole event whose blank line is missing, or half of one. */
function decodeRest(exchange: Exchange, event: Uint8Array, provider: Provider): Uint8Array[] {
  try {
    return exchange.decodeEvents([event]);
  } catch (error) {
    throw malformedAnswer(provider.id, "the stream ended in the middle of an event", error);
  }
}

/** Types that are certainly no event stream; others may be one under a wrong name. */
const notAStream = new Set(["application/json", "text/html", "application/problem+json"]);

/** The status counts, whatever becomes of the body. */
async function failedAnswer(provider: Provider, response: UpstreamAnswer): Promise<Error> {
  const { body } = await readBody(response, maxErrorBytes).catch(() => ({ body: new Uint8Array() }));
  return upstreamError(provider.classifyError(response.status, response.headers, body));
}

/** The value, or `late` where it takes longer. */
async function within<T>(ms: number, value: Promise<T>): Promise<T | "late"> {
  const timer = new AbortController();
  try {
    return await Promise.race([value, sleep(ms, "late" as const, { signal: timer.signal })]);
  } finally {
    timer.abort();
  }
}
