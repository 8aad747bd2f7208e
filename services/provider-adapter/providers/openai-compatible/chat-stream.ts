import { upstreamError } from "#chassis/errors.ts";
import type { JsonObject, Outcome } from "../../provider.ts";
import { eventName } from "../../sse.ts";
import { listOf, objectOf, parseObject, textOf } from "../../translate/json-reading.ts";
import { readEventData } from "../../translate/sse-event.ts";
import { protocolError } from "./answer.ts";
import { errorInAnswer } from "./errors.ts";
import { latin1Of, shapeOf } from "./stream-scan.ts";
import { StreamSize } from "./stream-size.ts";
import { readUsage } from "./usage.ts";

const closingEvent = Buffer.from("data: [DONE]\n\n");

/** The only events that have to be parsed: those with usage, an error or a finish reason. The same for a whole slab. */
const telling = /"(?:usage":\s*\{|error"|finish_reason":\s*")/;
const noChoices = /"choices":\s*\[\]/;
const usageObject = /"usage":\s*\{/;

/** Passes a stream of chat or legacy completions on as it is, and reads off what metering needs. */
export class ChatStream {
  readonly #provider: string;
  readonly #stripUsage: boolean;
  readonly #size: StreamSize;
  #first: Uint8Array | undefined;
  #usage: JsonObject | undefined;
  #finishReason = "";
  #responseModel = "";
  #responseId = "";
  #done = false;

  /** `stripUsage`: the chunk that carries usage and no choices is taken out. */
  constructor(provider: string, stripUsage: boolean, logprobs: boolean) {
    this.#provider = provider;
    this.#stripUsage = stripUsage;
    this.#size = new StreamSize(logprobs);
  }

  get progress(): "open" | "closed" {
    return this.#done ? "closed" : "open";
  }

  decodeEvents(events: readonly Uint8Array[]): Uint8Array[] {
    return this.passEvents(events) ?? events.filter((event) => this.#pass(event));
  }

  passEvents(events: readonly Uint8Array[]): Uint8Array[] | undefined {
    if (!events.every((event) => shapeOf(event) === "json") || telling.test(latin1Of(events))) return undefined;
    this.#first ??= events[0];
    for (const event of events) this.#size.add(event);
    return this.#done ? [] : events.slice();
  }

  finish(): Uint8Array[] {
    if (!this.#done && this.#finishReason === "") {
      throw protocolError(this.#provider, "the stream ended before the answer was complete");
    }
    if (this.#first === undefined && this.#finishReason === "" && this.#responseId === "") {
      throw protocolError(this.#provider, "the stream holds no answer");
    }
    return [closingEvent];
  }

  outcome(): Outcome {
    if (this.#responseId === "" && this.#first !== undefined) {
      this.#readHead(parseObject(readEventData(this.#first) ?? "") ?? {});
    }
    return {
      usage: readUsage(this.#usage) ?? this.#size.estimate(),
      finishReason: this.#finishReason,
      responseModel: this.#responseModel,
      responseId: this.#responseId,
    };
  }

  /** Looks at one event; whether the client gets it. Nothing behind `[DONE]` reaches the client. */
  #pass(event: Uint8Array): boolean {
    if (this.#done) return false;
    const shape = shapeOf(event);
    if (shape === "done") {
      this.#done = true;
      return false;
    }
    const text = latin1Of([event]);
    if (shape === "json" && !telling.test(text)) {
      this.#first ??= event;
      this.#size.add(event);
      return true;
    }
    return this.#read(event, text);
  }

  #read(event: Uint8Array, text: string): boolean {
    const data = readEventData(event);
    if (data === undefined) return false;
    if (data.trim() === "[DONE]") {
      this.#done = true;
      return false;
    }
    const chunk = parseObject(data);
    if (chunk === undefined) throw protocolError(this.#provider, "the stream holds something that is no JSON object");
    this.#failOnError(event, chunk);
    this.#readHead(chunk);
    const usage = readUsage(chunk.usage) === undefined ? objectOf(chunk.x_groq).usage : chunk.usage;
    if (readUsage(usage) !== undefined) this.#usage = objectOf(usage);
    for (const choice of listOf(chunk.choices)) {
      this.#finishReason = textOf(objectOf(choice).finish_reason) || this.#finishReason;
    }
    const extra = this.#stripUsage && usageObject.test(text) && noChoices.test(text);
    if (!extra) this.#size.add(event);
    return !extra;
  }

  #readHead(chunk: JsonObject): void {
    this.#responseId ||= textOf(chunk.id);
    this.#responseModel ||= textOf(chunk.model);
  }

  #failOnError(event: Uint8Array, chunk: JsonObject): void {
    const error = chunk.error;
    const named = event[0] === 0x65 && eventName(event) === "error";
    if ((error !== undefined && error !== null) || named || chunk.object === "error") {
      throw upstreamError(errorInAnswer(this.#provider, chunk));
    }
  }
}
