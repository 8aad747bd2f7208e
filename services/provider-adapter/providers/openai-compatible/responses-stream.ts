import { upstreamError } from "#chassis/errors.ts";
import type { Outcome } from "../../provider.ts";
import { eventName } from "../../sse.ts";
import { objectOf, parseObject, textOf } from "../../translate/json-reading.ts";
import { readEventData } from "../../translate/sse-event.ts";
import { protocolError, readResponseObject } from "./answer.ts";
import { errorInAnswer } from "./errors.ts";
import { latin1Of, shapeOf } from "./stream-scan.ts";
import { StreamSize } from "./stream-size.ts";

/** Events that have to be parsed, whether their name stands in an `event:` line or in the data alone. */
const telling = /response\.(?:completed|incomplete|failed)\b|event:\s*error\b|"type":\s*"error"|\[DONE\]/;
const closingTypes = new Set(["response.completed", "response.incomplete", "response.failed"]);

/**
 * Passes a stream of the Responses API on as it is, `event:` lines included. The closing event is held back together with
 * whatever follows it (OpenRouter sends `[DONE]` behind it). A `response.failed` is passed on as the closing event that it
 * is: it is the dialect's own way to tell of a failure.
 */
export class ResponsesStream {
  readonly #provider: string;
  readonly #size = new StreamSize(false);
  readonly #held: Uint8Array[] = [];
  #outcome: Outcome | undefined;
  #done = false;

  constructor(provider: string) {
    this.#provider = provider;
  }

  get progress(): "open" | "closing" | "closed" {
    if (this.#done) return "closed";
    return this.#held.length > 0 ? "closing" : "open";
  }

  decodeEvents(events: readonly Uint8Array[]): Uint8Array[] {
    return this.passEvents(events) ?? events.filter((event) => this.#pass(event));
  }

  passEvents(events: readonly Uint8Array[]): Uint8Array[] | undefined {
    if (this.#held.length > 0 || telling.test(latin1Of(events))) return undefined;
    for (const event of events) this.#add(event);
    return events.slice();
  }

  finish(): Uint8Array[] {
    if (this.#outcome === undefined) {
      throw protocolError(this.#provider, "the stream ended before the answer was complete");
    }
    return this.#held;
  }

  outcome(): Outcome {
    return this.#outcome ?? { usage: this.#size.estimate(), finishReason: "", responseModel: "", responseId: "" };
  }

  #pass(event: Uint8Array): boolean {
    if (this.#held.length > 0) {
      this.#done ||= shapeOf(event) === "done";
      this.#held.push(event);
      return false;
    }
    if (telling.test(latin1Of([event]))) return this.#read(event);
    this.#add(event);
    return true;
  }

  #add(event: Uint8Array): void {
    if (shapeOf(event) === "other" && event[0] !== 0x65) this.#parse(event);
    this.#size.add(event);
  }

  #read(event: Uint8Array): boolean {
    const chunk = this.#parse(event);
    const name = eventName(event);
    const type = textOf(chunk.type) || name;
    if (type === "error" || name === "error") {
      const inner = objectOf(chunk.error);
      throw upstreamError(errorInAnswer(this.#provider, { error: Object.keys(inner).length > 0 ? inner : chunk }));
    }
    if (!closingTypes.has(type)) {
      this.#size.add(event);
      return true;
    }
    const response = objectOf(chunk.response);
    this.#outcome = readResponseObject(response, type === "response.failed" ? 0 : this.#size.tokens());
    this.#held.push(event);
    return false;
  }

  #parse(event: Uint8Array): ReturnType<typeof objectOf> {
    const data = readEventData(event);
    const chunk = data === undefined ? undefined : parseObject(data);
    if (chunk === undefined) throw protocolError(this.#provider, "the stream holds something that is no JSON object");
    return chunk;
  }
}
