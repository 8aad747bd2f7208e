import { setTimeout as sleep } from "node:timers/promises";
import type { InferResponse } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import type { AnswerEvents } from "./answer-events.ts";
import { headersForClient } from "./answer-headers.ts";
import { AwsEventStreamSplitter } from "./aws-eventstream.ts";
import { malformedAnswer } from "./failure.ts";
import type { InferAnswer } from "./infer-answer.ts";
import { NdjsonSplitter } from "./ndjson.ts";
import type { Exchange, Framing } from "./provider.ts";
import { SseSplitter } from "./sse.ts";
import type { UpstreamAnswer } from "./upstream.ts";

/** How long a trailer may come behind the closing event of a stream. */
const trailerMs = 250;

/** A stream's events, made of what the network brings, a read at a time. Its connection is free at its end. */
export class StreamedAnswer implements AnswerEvents {
  readonly #exchange: Exchange;
  readonly #response: UpstreamAnswer;
  readonly #provider: string;
  readonly #answer: InferAnswer;
  readonly #splitter: Splitter;
  #events: InferResponse[] = [];
  #taken = 0;
  #ended = false;
  /** What the answer fails with, once what came before it is taken. */
  #failure: { readonly error: unknown } | undefined;

  constructor(
    exchange: Exchange,
    response: UpstreamAnswer,
    provider: string,
    answer: InferAnswer,
    maxEventBytes: number,
  ) {
    this.#exchange = exchange;
    this.#response = response;
    this.#provider = provider;
    this.#answer = answer;
    this.#splitter = createSplitter(exchange.framing, maxEventBytes);
  }

  get ended(): boolean {
    return this.#ended && this.#taken === this.#events.length;
  }

  take(): InferResponse | undefined {
    const event = this.#events[this.#taken];
    if (event !== undefined) this.#taken += 1;
    return event;
  }

  async readOn(): Promise<void> {
    this.#events = [];
    this.#taken = 0;
    try {
      if (this.#failure !== undefined) throw this.#failure.error;
      const reading = this.#response.read();
      const pieces = await (this.#exchange.progress === "closing" ? within(trailerMs, reading) : reading);
      // A trailer that is late may be half of an event so far.
      if (pieces === undefined || pieces === "late") this.#finish(pieces === undefined);
      else this.#decode(pieces);
    } catch (error) {
      this.cancel();
      throw error;
    }
  }

  cancel(): void {
    this.#response.cancel();
  }

  #decode(pieces: readonly Uint8Array[]): void {
    const payloads: Uint8Array[] = [];
    this.#failure = decodePieces(this.#splitter, this.#exchange, pieces, payloads);
    if (payloads.length > 0) this.#push(payloads, false);
    if (this.#failure !== undefined || this.#exchange.progress !== "closed") return;
    try {
      this.#finish(false);
    } catch (error) {
      this.#failure = { error };
    }
  }

  #finish(complete: boolean): void {
    const unfinished = complete ? this.#splitter.end() : undefined;
    const rest = unfinished === undefined ? [] : decodeRest(this.#exchange, unfinished, this.#provider);
    const closing = this.#exchange.finish();
    this.#response.release();
    if (rest.length > 0) this.#push(rest, false);
    this.#push(closing, true);
    this.#events.push(this.#answer.finish(this.#exchange.outcome()));
    this.#ended = true;
  }

  /** The head comes with the first payloads, and never before. */
  #push(payloads: Uint8Array[], last: boolean): void {
    if (!this.#answer.started) {
      const headers = headersForClient(this.#response.headers);
      this.#events.push(this.#answer.start(headers, this.#exchange.outcome().usage));
    }
    this.#events.push(this.#answer.chunk(payloads, last));
  }
}

/** Cuts the body of a stream into whole events. */
interface Splitter {
  push(chunk: Uint8Array): Uint8Array[];
  /** The body is over: what is left of it, if that may be an event. */
  end(): Uint8Array | undefined;
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
function decodeRest(exchange: Exchange, event: Uint8Array, provider: string): Uint8Array[] {
  try {
    return exchange.decodeEvents([event]);
  } catch (error) {
    throw malformedAnswer(provider, "the stream ended in the middle of an event", error);
  }
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
