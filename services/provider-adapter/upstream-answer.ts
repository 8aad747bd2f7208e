import { gatewayError, upstreamError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { bodyAtOnce, mediaType, readBody, withoutMark } from "./answer-body.ts";
import { type AnswerEvents, ReadyAnswer } from "./answer-events.ts";
import { headersForClient } from "./answer-headers.ts";
import type { Authorizers } from "./authorize.ts";
import { type Cancellation, cancellationOf } from "./cancellation.ts";
import type { AdapterConfig } from "./config.ts";
import { malformedAnswer } from "./failure.ts";
import { followed } from "./follow-up.ts";
import type { InferAnswer } from "./infer-answer.ts";
import type { MediaFetcher } from "./media/media-fetcher.ts";
import { withMedia } from "./media/with-media.ts";
import type { Exchange, Provider, ProviderCall, SeveralRequests, UpstreamRequest, WholeAnswer } from "./provider.ts";
import { StreamedAnswer } from "./streamed-answer.ts";
import type { Upstream, UpstreamAnswer } from "./upstream.ts";

/** How much of a failed answer is read. */
const maxErrorBytes = 64 * 1024;
/** How many requests of one call are in flight together. */
const maxAtOnce = 8;

/** What a call needs to reach its provider. */
export interface UpstreamParts {
  readonly config: AdapterConfig;
  readonly upstream: Upstream;
  readonly authorizers: Authorizers;
  /** Fetches what providers take as bytes alone. */
  readonly media: MediaFetcher;
}

/**
 * Sends a call to its provider. Resolves with the answer: its events at once where it came whole, else as they come. The
 * latter have to be read to their end, or cancelled, for the connection to be freed.
 */
export async function openAnswer(
  parts: UpstreamParts,
  provider: Provider,
  asked: ProviderCall,
  answer: InferAnswer,
  cancellation: Cancellation,
): Promise<AnswerEvents> {
  const { config, upstream } = parts;
  const whole = withMedia(provider, asked, parts.media, cancellation);
  const call = whole instanceof Promise ? await whole : whole;
  const exchange = begin(provider, call);
  if (exchange.several !== undefined) {
    const payload = await answerOfSeveral(parts, provider, call, exchange.several, cancellation.signal);
    return new ReadyAnswer([answer.start({}), answer.chunk([payload], true), answer.finish(exchange.outcome())]);
  }
  const authorize = provider.authorizer === undefined ? undefined : parts.authorizers[provider.authorizer];
  const { request } = exchange;
  const authorized = authorize === undefined ? request : await authorize(call, request, cancellation.signal);
  const first = await upstream.send(authorized, cancellation);
  const response =
    exchange.followUp === undefined
      ? first
      : await followed(first, exchange, upstream, config.maxBodyBytes, cancellation);
  if (response.status < 300 && call.stream && !notAStream.has(mediaType(response))) {
    return new StreamedAnswer(exchange, response, provider.id, answer, config.maxEventBytes);
  }
  const { headers } = response;
  const atOnce = response.status < 300 ? bodyAtOnce(response, config.maxBodyBytes) : undefined;
  const body = withoutMark(atOnce ?? (await readWhole(config, provider, response)).body);
  if (call.stream && exchange.decodeWhole !== undefined) return toldAsStream(exchange, { body, headers }, answer);
  // An answer that is an error says so here, whatever was asked for.
  const payload = exchange.decodeBody(body, headers);
  if (call.stream) throw malformedAnswer(provider.id, "it answered a request for a stream with a whole answer");
  return new ReadyAnswer([
    answer.start(headersForClient(headers)),
    answer.chunk([payload], true),
    answer.finish(exchange.outcome()),
  ]);
}

/** What a client nests too deeply to be walked through is the client's mistake. */
function begin(provider: Provider, call: ProviderCall): Exchange {
  try {
    return provider.begin(call);
  } catch (error) {
    if (!(error instanceof RangeError) || !/call stack/.test(error.message)) throw error;
    throw gatewayError(Reason.INVALID_REQUEST, "Invalid JSON payload: the JSON nests too deeply.", { cause: error });
  }
}

/** Sends the requests of a call that takes several, and joins their answers. */
async function answerOfSeveral(
  { config, upstream, authorizers }: UpstreamParts,
  provider: Provider,
  call: ProviderCall,
  several: SeveralRequests,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const authorize = provider.authorizer === undefined ? undefined : authorizers[provider.authorizer];
  // Each has a cancellation of its own: one ends one request.
  const ask = async (request: UpstreamRequest): Promise<WholeAnswer> => {
    const authorized = authorize === undefined ? request : await authorize(call, request, signal);
    return readWhole(config, provider, await upstream.send(authorized, cancellationOf(signal)));
  };
  return several.decode(await allOf(several.requests, ask));
}

/** Reads an answer that is no stream. Throws where it is no success. */
async function readWhole(config: AdapterConfig, provider: Provider, response: UpstreamAnswer): Promise<WholeAnswer> {
  try {
    if (response.status >= 400) throw await failedAnswer(provider, response);
    if (response.status >= 300)
      throw malformedAnswer(provider.id, "it answered with a redirect, which is not followed");
    const { body, complete } = await readBody(response, config.maxBodyBytes);
    if (!complete) throw malformedAnswer(provider.id, `the answer is larger than ${config.maxBodyBytes} bytes`);
    return { body, headers: response.headers };
  } finally {
    response.cancel();
  }
}

/** The stream that a whole answer makes, where the provider may send one. */
function toldAsStream(exchange: Exchange, { body, headers }: WholeAnswer, answer: InferAnswer): AnswerEvents {
  const payloads = exchange.decodeWhole?.(body) ?? [];
  const closing = exchange.finish();
  return new ReadyAnswer([
    answer.start(headersForClient(headers)),
    answer.chunk(payloads, false),
    answer.chunk(closing, true),
    answer.finish(exchange.outcome()),
  ]);
}

/** The answers to several requests, in their order; the first failure stops the rest. */
async function allOf<T, R>(requests: readonly T[], ask: (request: T) => Promise<R>): Promise<R[]> {
  const answers: R[] = [];
  const queue = requests.entries();
  let failed = false;
  const work = async (): Promise<void> => {
    for (const [index, request] of queue) {
      if (failed) return;
      answers[index] = await ask(request);
    }
  };
  const lanes = Array.from({ length: Math.min(maxAtOnce, requests.length) }, work);
  try {
    await Promise.all(lanes);
  } catch (error) {
    failed = true;
    await Promise.allSettled(lanes);
    throw error;
  }
  return answers;
}

/** Types that are certainly no event stream; others may be one under a wrong name. */
const notAStream = new Set(["application/json", "text/html", "application/problem+json"]);

/** The status counts, whatever becomes of the body. */
async function failedAnswer(provider: Provider, response: UpstreamAnswer): Promise<Error> {
  const { body } = await readBody(response, maxErrorBytes).catch(() => ({ body: new Uint8Array() }));
  return upstreamError(provider.classifyError(response.status, response.headers, withoutMark(body)));
}
