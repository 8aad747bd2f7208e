import { upstreamError } from "#chassis/errors.ts";
import { type AnswerEvents, WholeAnswer } from "./answer-events.ts";
import { headersForClient } from "./answer-headers.ts";
import type { Authorizers } from "./authorize.ts";
import type { Cancellation } from "./cancellation.ts";
import type { AdapterConfig } from "./config.ts";
import { malformedAnswer } from "./failure.ts";
import type { InferAnswer } from "./infer-answer.ts";
import type { Provider, ProviderCall } from "./provider.ts";
import { StreamedAnswer } from "./streamed-answer.ts";
import type { Upstream, UpstreamAnswer } from "./upstream.ts";

/** How much of a failed answer is read. */
const maxErrorBytes = 64 * 1024;

/** What a call needs to reach its provider. */
export interface UpstreamParts {
  readonly config: AdapterConfig;
  readonly upstream: Upstream;
  readonly authorizers: Authorizers;
}

/**
 * Sends a call to its provider. Resolves with the answer: its events at once where it came whole, else as they come. The
 * latter have to be read to their end, or cancelled, for the connection to be freed.
 */
export async function openAnswer(
  { config, upstream, authorizers }: UpstreamParts,
  provider: Provider,
  call: ProviderCall,
  answer: InferAnswer,
  cancellation: Cancellation,
): Promise<AnswerEvents> {
  const exchange = provider.begin(call);
  const { request } = exchange;
  const authorize = provider.authorizer === undefined ? undefined : authorizers[provider.authorizer];
  const complete = authorize === undefined ? request : await authorize(call, request, cancellation.signal);
  const response = await upstream.send(complete, cancellation);
  if (response.status < 300 && call.stream && !notAStream.has(mediaType(response))) {
    return new StreamedAnswer(exchange, response, provider.id, answer, config.maxEventBytes);
  }
  try {
    if (response.status >= 400) throw await failedAnswer(provider, response);
    if (response.status >= 300)
      throw malformedAnswer(provider.id, "it answered with a redirect, which is not followed");
    const { body, complete } = await readBody(response, config.maxBodyBytes);
    if (!complete) throw malformedAnswer(provider.id, `the answer is larger than ${config.maxBodyBytes} bytes`);
    // An answer that is an error says so here, whatever was asked for.
    const payload = exchange.decodeBody(body);
    if (call.stream) throw malformedAnswer(provider.id, "it answered a request for a stream with a whole answer");
    return new WholeAnswer([
      answer.start(headersForClient(response.headers)),
      answer.chunk([payload], true),
      answer.finish(exchange.outcome()),
    ]);
  } finally {
    response.cancel();
  }
}

/** Types that are certainly no event stream; others may be one under a wrong name. */
const notAStream = new Set(["application/json", "text/html", "application/problem+json"]);

function mediaType({ headers }: UpstreamAnswer): string {
  return (headers["content-type"] ?? "").split(";", 1)[0]?.trim().toLowerCase() ?? "";
}

/** The status counts, whatever becomes of the body. */
async function failedAnswer(provider: Provider, response: UpstreamAnswer): Promise<Error> {
  const { body } = await readBody(response, maxErrorBytes).catch(() => ({ body: new Uint8Array() }));
  return upstreamError(provider.classifyError(response.status, response.headers, body));
}

/** Reads a body up to a limit; what is beyond it is left alone. */
async function readBody(response: UpstreamAnswer, limit: number): Promise<{ body: Uint8Array; complete: boolean }> {
  const read: Uint8Array[] = [];
  let bytes = 0;
  for (;;) {
    const pieces = await response.read();
    if (pieces === undefined) return { body: joined(read), complete: true };
    for (const piece of pieces) {
      read.push(piece);
      bytes += piece.length;
    }
    if (bytes > limit) return { body: joined(read).subarray(0, limit), complete: false };
  }
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const [only] = pieces;
  return only !== undefined && pieces.length === 1 ? only : Buffer.concat(pieces);
}
