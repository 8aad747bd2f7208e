import type { JsonObject } from "../../provider.ts";
import { dataEvent } from "../../translate/sse-event.ts";

/** What all chunks of a stream have. */
export interface ChunkShape {
  readonly id: string;
  readonly model: string;
  /** In seconds since 1970. */
  readonly createdAt: number;
  /** A stream ends with a usage chunk (`stream_options.include_usage`). */
  readonly includeUsage: boolean;
}

/** Writes chat completion chunks, https://platform.openai.com/docs/api-reference/chat-streaming. */
export class ChatChunks {
  readonly #shape: ChunkShape;
  readonly #begun = new Set<number>();
  #id: string;

  constructor(shape: ChunkShape) {
    this.#shape = shape;
    this.#id = shape.id;
  }

  get id(): string {
    return this.#id;
  }

  /** The choices that something was sent of. */
  get begun(): readonly number[] {
    return [...this.#begun];
  }

  /** Takes the provider's id of the answer, before anything is sent. */
  nameAnswer(id: string): void {
    if (this.#begun.size === 0) this.#id = id;
  }

  /** The chunk for a delta, the role before it where it is the choice's first. */
  delta(index: number, delta: JsonObject): Uint8Array[] {
    return [...this.#begin(index), this.#chunk(index, delta, null)];
  }

  /** The closing payloads: the finish of every choice, the usage chunk if asked for, `[DONE]`. */
  finish(finishReasons: ReadonlyMap<number, string>, usage: JsonObject | undefined): Uint8Array[] {
    const out: Uint8Array[] = [];
    for (const [index, reason] of finishReasons) out.push(...this.#begin(index), this.#chunk(index, {}, reason));
    if (this.#shape.includeUsage && usage !== undefined) out.push(this.#event({ choices: [], usage }));
    return [...out, dataEvent("[DONE]")];
  }

  #begin(index: number): Uint8Array[] {
    if (this.#begun.has(index)) return [];
    this.#begun.add(index);
    return [this.#chunk(index, { role: "assistant", content: "" }, null)];
  }

  #chunk(index: number, delta: JsonObject, finishReason: string | null): Uint8Array {
    const choices = [{ index, delta, finish_reason: finishReason }];
    return this.#event(this.#shape.includeUsage ? { choices, usage: null } : { choices });
  }

  #event(members: JsonObject): Uint8Array {
    const { createdAt: created, model } = this.#shape;
    return dataEvent(JSON.stringify({ id: this.#id, object: "chat.completion.chunk", created, model, ...members }));
  }
}
