import type { JsonObject } from "../../provider.ts";
import type { GeminiAnswerShape } from "../chat-to-gemini/request.ts";
import { isObject, listOf, numberOf, objectOf, objectsOf, textOf } from "../json-reading.ts";
import { dataEvent } from "../sse-event.ts";
import { Candidate, candidateLogprobs } from "./candidate.ts";
import type { GeminiUsage } from "./gemini-usage.ts";

/** What is known of a call before its answer. */
export interface AnswerFrame {
  readonly shape: GeminiAnswerShape;
  /** The id of an answer that Gemini gives none. */
  readonly id: string;
  readonly model: string;
  readonly createdAt: number;
}

/**
 * Turns the events of a `streamGenerateContent`, parsed, into chat completion chunks. Gemini has no closing event: the
 * stream is complete when every candidate that began has named its finish reason and the body ends. Finish reasons are
 * held until then, because Gemini may go on behind one.
 */
export class GeminiChunks {
  readonly #usage: GeminiUsage;
  readonly #frame: AnswerFrame;
  readonly #candidates = new Map<number, Candidate>();
  readonly #suffix: string;
  #prefix = "";
  #responseId = "";
  #model = "";
  #calls = 0;

  constructor(usage: GeminiUsage, frame: AnswerFrame) {
    this.#usage = usage;
    this.#frame = frame;
    this.#suffix = frame.shape.includeUsage ? ',"usage":null}\n\n' : "}\n\n";
  }

  /** Whether the answer is whole, should nothing follow. */
  get finished(): boolean {
    const all = [...this.#candidates.values()];
    return all.length > 0 && all.every((candidate) => candidate.finished);
  }

  get responseId(): string {
    return this.#responseId;
  }

  get responseModel(): string {
    return this.#model;
  }

  /** The finish reason of the first candidate, in OpenAI's words; empty where it has not come. */
  get finishReason(): string {
    const [first] = this.#candidates.values();
    return first?.finished === true ? first.ending().finishReason : "";
  }

  /** Takes an event: a whole GenerateContentResponse. */
  push(event: JsonObject, out: Uint8Array[]): void {
    this.#responseId ||= textOf(event.responseId);
    this.#model ||= textOf(event.modelVersion);
    if (isObject(event.usageMetadata)) this.#usage.read(event.usageMetadata);
    for (const candidate of objectsOf(event.candidates)) this.#candidate(candidate, out);
    const feedback = objectOf(event.promptFeedback);
    if (textOf(feedback.blockReason) !== "" && this.#candidates.size === 0) {
      const refused = this.#begin(0, out);
      this.#emit(0, refused.block(feedback), undefined, out);
    }
  }

  /** The closing payloads: the finish chunks, the usage chunk if asked for, `[DONE]`. */
  finish(): Uint8Array[] {
    const out: Uint8Array[] = [];
    for (const candidate of this.#candidates.values()) {
      const { finishReason, annotations, providerFields } = candidate.ending();
      const delta: JsonObject = annotations.length > 0 ? { annotations } : {};
      if (providerFields !== undefined) delta.provider_specific_fields = providerFields;
      const { legacyFunctions } = this.#frame.shape;
      const reason = legacyFunctions && finishReason === "tool_calls" ? "function_call" : finishReason;
      const choice = `{"index":${candidate.index},"delta":${JSON.stringify(delta)},"finish_reason":"${reason}"}`;
      out.push(Buffer.from(`${this.#prefix}[${choice}]${this.#suffix}`));
    }
    if (this.#frame.shape.includeUsage) {
      out.push(Buffer.from(`${this.#prefix}[],"usage":${JSON.stringify(this.#usage.chatUsage())}}\n\n`));
    }
    out.push(dataEvent("[DONE]"));
    return out;
  }

  #candidate(candidate: JsonObject, out: Uint8Array[]): void {
    const grounding = objectOf(candidate.groundingMetadata);
    this.#usage.readSearches(listOf(grounding.webSearchQueries));
    const index = numberOf(candidate.index);
    const reader = this.#begin(index, out);
    const deltas = reader.push(candidate);
    const logprobs = candidateLogprobs(candidate);
    if (logprobs !== undefined && deltas.length === 0) this.#emit(index, {}, logprobs, out);
    for (const [at, delta] of deltas.entries()) this.#emit(index, delta, at === 0 ? logprobs : undefined, out);
  }

  #begin(index: number, out: Uint8Array[]): Candidate {
    const known = this.#candidates.get(index);
    if (known !== undefined) return known;
    if (this.#prefix === "") this.#prefix = this.#head();
    const candidate = new Candidate(index, () => this.#callId());
    this.#candidates.set(index, candidate);
    this.#emit(index, { role: "assistant", content: "" }, undefined, out);
    return candidate;
  }

  #head(): string {
    const { createdAt, model, id } = this.#frame;
    const head = {
      id: this.#responseId || id,
      object: "chat.completion.chunk",
      created: createdAt,
      model: this.#model || model,
    };
    return `data: ${JSON.stringify(head).slice(0, -1)},"choices":`;
  }

  /** Unique within a conversation: Gemini gives every answer an id, and not every call. */
  #callId(): string {
    return callId(this.#responseId || this.#frame.id, this.#calls++);
  }

  #emit(index: number, delta: JsonObject, logprobs: JsonObject | undefined, out: Uint8Array[]): void {
    const told = this.#frame.shape.legacyFunctions ? legacyDelta(delta) : delta;
    const probabilities = logprobs === undefined ? "" : `,"logprobs":${JSON.stringify(logprobs)}`;
    const choice = `{"index":${index},"delta":${JSON.stringify(told)}${probabilities},"finish_reason":null}`;
    out.push(Buffer.from(`${this.#prefix}[${choice}]${this.#suffix}`));
  }
}

/** An id for the `nth` call of an answer. */
export function callId(answerId: string, nth: number): string {
  return `call_${answerId.replace(/[^a-zA-Z0-9_-]/g, "_")}_${nth}`;
}

/** The first call as `function_call`; there can be no other one in the old format. */
export function legacyDelta(delta: JsonObject): JsonObject {
  const { tool_calls: calls, ...rest } = delta;
  const [call] = objectsOf(calls);
  if (call === undefined) return delta;
  return numberOf(call.index) === 0 ? { ...rest, function_call: objectOf(call.function) } : rest;
}
