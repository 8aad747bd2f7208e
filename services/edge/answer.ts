import { Code, ConnectError } from "@connectrpc/connect";
import type { Chunk, Finished, Started } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { InferRequest, InferResponse } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import { addFinishedHeaders, startedHeaders } from "./answer-headers.ts";
import { errorAnswer, errorEvent } from "./error-body.ts";
import type { EdgeEvents } from "./events.ts";
import type { HttpCall } from "./http-call.ts";
import { type JsonArrayStream, jsonArrayType } from "./json-array-stream.ts";
import { joinPayloads } from "./payloads.ts";

export interface AnswerOptions {
  readonly call: HttpCall;
  readonly request: InferRequest;
  readonly events: EdgeEvents;
  /** How long the client may leave the answer unread. */
  readonly stalledClientMs: number;
  /** How much of the time since the request came was spent waiting for its body, in milliseconds. */
  readonly uploadMs: number;
  /** Frames a stream as a JSON array instead of events, where the client asks for that. */
  readonly array: JsonArrayStream | undefined;
}

/**
 * Frames one model call's answer as HTTP. A stream's head leaves with its first payload; its last payload waits for
 * Finished, so that it and the end leave together, recorded. Anything else is collected and leaves whole, with its cost.
 */
export class Answer {
  readonly #options: AnswerOptions;
  readonly #inferredAt = performance.now();
  #started: Started | undefined;
  #streams = false;
  #finished = false;
  /** Of a stream: the last payloads. Of anything else: the body so far. */
  #held: Uint8Array[] = [];

  constructor(options: AnswerOptions) {
    this.#options = options;
  }

  /** Takes the next event of the call. Returns a promise where the client has to catch up first. */
  take(event: InferResponse["event"]): Promise<void> | undefined {
    switch (event.case) {
      case "started":
        this.#started = event.value;
        this.#streams = isEventStream(event.value.contentType, this.#options.request.stream);
        return undefined;
      case "chunk":
        return this.#takeChunk(event.value);
      case "finished":
        this.#finish(event.value);
        return undefined;
      default:
        return undefined;
    }
  }

  /** The call has ended without an error. @throws where it was not complete: then it must not look so. */
  complete(): void {
    if (!this.#finished) throw new ConnectError("the answer ended before it was finished", Code.Internal);
  }

  /** The call has failed: an error answer before the head, an error event in a stream, nothing to a client that left. */
  fail(error: unknown): void {
    const { call, events } = this.#options;
    if (call.gone || this.#finished) return;
    if (!call.response.headersSent) {
      call.sendError(error);
      return;
    }
    const answer = errorAnswer(error, call.dialect, call.callId);
    if (answer.hidden) events.failedInside(call, error);
    events.streamFailed(call, answer.status);
    call.response.end(this.#options.array?.error(answer.body) ?? errorEvent(answer, call.dialect));
  }

  #takeChunk(chunk: Chunk): Promise<void> | undefined {
    if (!this.#streams || chunk.last) {
      for (const payload of chunk.payloads) this.#held.push(payload);
      return undefined;
    }
    const { call } = this.#options;
    if (call.gone) return undefined;
    if (!call.response.headersSent) this.#writeStreamHead();
    let flowing = true;
    const payloads = this.#options.array?.elements(chunk.payloads) ?? chunk.payloads;
    for (const part of joinPayloads(payloads)) flowing = call.response.write(part);
    return flowing ? undefined : this.#untilDrained();
  }

  #finish(finished: Finished): void {
    const { call, events, request, array } = this.#options;
    this.#finished = true;
    const held = this.#held;
    this.#held = [];
    if (call.gone) return;
    if (this.#streams) {
      if (!call.response.headersSent) this.#writeStreamHead();
      const parts = joinPayloads(array === undefined ? held : [...array.elements(held), array.end()]);
      for (const part of parts.slice(0, -1)) call.response.write(part);
      call.response.end(parts.at(-1));
    } else {
      this.#sendWhole(finished, held);
    }
    events.answered(request.operation, this.#started, finished);
  }

  #sendWhole(finished: Finished, held: readonly Uint8Array[]): void {
    const { call, uploadMs } = this.#options;
    const started = this.#started;
    const upstreamMs = Number(finished.timing?.upstreamTotalUs ?? 0n) / 1000;
    const ownMs = performance.now() - call.startedAt - uploadMs - upstreamMs;
    const headers = startedHeaders(started);
    addFinishedHeaders(headers, finished);
    headers.push("server-timing", serverTiming(ownMs, upstreamMs));
    const [only] = held;
    const body = only !== undefined && held.length === 1 ? only : Buffer.concat(held);
    call.send(started?.status || 200, started?.contentType || "application/json", body, headers);
  }

  /** Where nobody told how long the upstream took to begin, the time from the call into the mesh stands for it. */
  #writeStreamHead(): void {
    const { call, events, request, uploadMs, array } = this.#options;
    const now = performance.now();
    const toldUs = this.#started?.upstreamFirstPayloadUs ?? 0;
    const upstreamMs = toldUs > 0 ? toldUs / 1000 : now - this.#inferredAt;
    const ownMs = now - call.startedAt - uploadMs - upstreamMs;
    call.writeHead(this.#started?.status || 200, [
      "content-type",
      array === undefined ? this.#started?.contentType || "text/event-stream" : jsonArrayType,
      "cache-control",
      "no-cache",
      "x-accel-buffering",
      "no",
      ...startedHeaders(this.#started),
      "server-timing",
      serverTiming(ownMs, upstreamMs),
    ]);
    events.firstPayload(request.operation, this.#started, now - call.startedAt);
  }

  /** Waits until the client has read on, left, or stalled for too long and is cut off. */
  #untilDrained(): Promise<void> {
    const { call, stalledClientMs } = this.#options;
    const { response } = call;
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        response.off("drain", done).off("close", done);
        resolve();
      };
      const timer = setTimeout(() => response.destroy(), stalledClientMs);
      response.on("drain", done).on("close", done);
    });
  }
}

/** What the answer says of itself counts: a provider may answer whole where a stream was asked for. */
function isEventStream(contentType: string, asked: boolean): boolean {
  return contentType === "" ? asked : contentType.startsWith("text/event-stream");
}

function serverTiming(ownMs: number, upstreamMs: number): string {
  return `sluice;dur=${Math.max(0, ownMs).toFixed(2)}, upstream;dur=${Math.max(0, upstreamMs).toFixed(2)}`;
}
