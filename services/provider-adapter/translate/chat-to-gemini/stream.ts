import type { Usage } from "#gen/sluice/inference/v1/usage_pb.ts";
import type { JsonObject } from "../../provider.ts";
import { numberOf, objectOf, objectsOf, textOf } from "../json-reading.ts";
import { dataEvent } from "../sse-event.ts";
import { type GeminiAnswerFrame, GeminiCandidate } from "./answer-candidate.ts";
import { usageMetadata } from "./answer-usage.ts";

/**
 * Turns the chunks of a chat completion stream, parsed, into the events of `streamGenerateContent`, each a
 * GenerateContentResponse. The last event ends every candidate and has the usage.
 */
export class GeminiEvents {
  readonly #frame: GeminiAnswerFrame;
  readonly #candidates = new Map<number, GeminiCandidate>();
  #head: JsonObject = {};

  constructor(frame: GeminiAnswerFrame) {
    this.#frame = frame;
  }

  push(chunk: JsonObject, out: Uint8Array[]): void {
    if (this.#head.responseId === undefined) {
      this.#head = { modelVersion: textOf(chunk.model), responseId: textOf(chunk.id) };
    }
    for (const choice of objectsOf(chunk.choices)) {
      const index = numberOf(choice.index);
      const parts = this.#candidate(index).push(choice, objectOf(choice.delta));
      if (parts.length === 0) continue;
      const candidates = [{ content: { parts, role: "model" }, index }];
      out.push(dataEvent(JSON.stringify({ candidates, ...this.#head })));
    }
  }

  /** The closing event; undefined where a call has no name. */
  finish(usage: Usage): Uint8Array | undefined {
    if (this.#candidates.size === 0) this.#candidate(0);
    const ended = [...this.#candidates.values()].map((candidate) => candidate.end([]));
    const candidates = ended.filter((candidate) => candidate !== undefined);
    if (candidates.length < ended.length) return undefined;
    return dataEvent(JSON.stringify({ candidates, usageMetadata: usageMetadata(usage), ...this.#head }));
  }

  #candidate(index: number): GeminiCandidate {
    const known = this.#candidates.get(index) ?? new GeminiCandidate(index, this.#frame);
    this.#candidates.set(index, known);
    return known;
  }
}
