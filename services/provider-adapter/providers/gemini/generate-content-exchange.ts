import { gatewayError, upstreamError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { Exchange, JsonObject, Outcome, ProviderCall, UpstreamRequest } from "../../provider.ts";
import { geminiFinishReason } from "../../translate/gemini-to-chat/finish-reason.ts";
import { GeminiUsage } from "../../translate/gemini-to-chat/gemini-usage.ts";
import {
  decodeText,
  isObject,
  listOf,
  numberOf,
  objectOf,
  objectsOf,
  parseObject,
  textOf,
} from "../../translate/json-reading.ts";
import { readEventData } from "../../translate/sse-event.ts";
import type { GeminiHost } from "./chat-exchange.ts";
import { brokenAnswer, readResponse } from "./classify-error.ts";
import { generateContentBody } from "./generate-content-body.ts";

/** Length of an event's data without its text, and bytes of text for a token: for the estimate of an aborted stream. */
const eventEnvelope = 300;
const bytesPerToken = 4;

/**
 * A call of Google's own dialect passed through. Every byte of the answer is the provider's; its events are read for the
 * usage and the end, and nothing else. Gemini has no closing event: the last one that leaves every candidate with a finish
 * reason is held until the stream has ended.
 */
export function createGenerateContentExchange(call: ProviderCall, host: GeminiHost): Exchange {
  return new GenerateContentExchange(call, host);
}

class GenerateContentExchange implements Exchange {
  readonly request: UpstreamRequest;
  readonly #provider: string;
  readonly #usage = new GeminiUsage();
  /** By candidate, why it ended; empty while it has not. */
  readonly #reasons = new Map<number, string>();
  #calls = false;
  #blocked = false;
  #responseId = "";
  #model = "";
  #closing: Uint8Array | undefined;
  #contentBytes = 0;
  #complete = false;

  constructor(call: ProviderCall, host: GeminiHost) {
    const method = call.stream ? "streamGenerateContent?alt=sse" : "generateContent";
    this.request = host.request(call, method, generateContentBody(call));
    this.#provider = host.id;
  }

  decodeBody(body: Uint8Array): Uint8Array {
    const response = readResponse(this.#provider, decodeText(body));
    const isAnswer = ["candidates", "promptFeedback", "usageMetadata"].some((name) => response[name] !== undefined);
    if (!isAnswer) throw this.#broken("answered with something that is no GenerateContentResponse");
    this.#read(response);
    this.#complete = true;
    return body;
  }

  decodeEvents(events: readonly Uint8Array[]): Uint8Array[] {
    const out: Uint8Array[] = [];
    for (const event of events) {
      const data = readEventData(event);
      if (data !== undefined) {
        this.#contentBytes += Math.max(1, data.length - eventEnvelope);
        this.#read(readResponse(this.#provider, data));
      }
      if (this.#closing !== undefined) out.push(this.#closing);
      this.#closing = this.#ended() ? event : undefined;
      if (this.#closing === undefined) out.push(event);
    }
    return out;
  }

  finish(): Uint8Array[] {
    if (this.#closing === undefined) throw this.#broken("ended its stream before a finish reason");
    this.#complete = true;
    return [this.#closing];
  }

  outcome(): Outcome {
    const [reason = ""] = this.#reasons.values();
    return {
      usage: this.#usage.canonical(this.#complete ? undefined : Math.ceil(this.#contentBytes / bytesPerToken)),
      finishReason: this.#blocked ? "content_filter" : reason === "" ? "" : geminiFinishReason(reason, this.#calls),
      responseModel: this.#model,
      responseId: this.#responseId,
    };
  }

  #read(response: JsonObject): void {
    this.#responseId ||= textOf(response.responseId);
    this.#model ||= textOf(response.modelVersion);
    if (isObject(response.usageMetadata)) this.#usage.read(response.usageMetadata);
    for (const candidate of objectsOf(response.candidates)) this.#readCandidate(candidate);
    this.#blocked = textOf(objectOf(response.promptFeedback).blockReason) !== "" || this.#blocked;
  }

  /** Gemini may name a reason and go on, after code was run. */
  #readCandidate(candidate: JsonObject): void {
    const index = numberOf(candidate.index);
    const parts = objectsOf(objectOf(candidate.content).parts);
    const reason = candidate.finishReason;
    const named = typeof reason === "number" ? String(reason) : textOf(reason);
    if (named !== "" || parts.length > 0 || !this.#reasons.has(index)) this.#reasons.set(index, named);
    this.#calls ||= parts.some(({ functionCall }) => isObject(functionCall));
    this.#usage.readSearches(listOf(objectOf(candidate.groundingMetadata).webSearchQueries));
  }

  #ended(): boolean {
    const reasons = [...this.#reasons.values()];
    return reasons.length > 0 ? reasons.every((reason) => reason !== "") : this.#blocked;
  }

  #broken(what: string): Error {
    return upstreamError(brokenAnswer(this.#provider, what));
  }
}

/** The body of a call, parsed. Throws INVALID_REQUEST where it is no JSON object. */
export function parsedBody({ body }: ProviderCall): JsonObject {
  const object = parseObject(decodeText(body));
  if (object === undefined) throw gatewayError(Reason.INVALID_REQUEST, "The body has to be a JSON object.");
  return object;
}
