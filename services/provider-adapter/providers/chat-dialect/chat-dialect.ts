import type { Framing, JsonObject, UpstreamRequest } from "../../provider.ts";

/** How a provider says what a chat completion says, for one call. Its functions throw the error of `upstreamError`. */
export interface ChatDialect {
  /** The provider's id, for errors. */
  readonly id: string;
  readonly request: UpstreamRequest;
  /** Server-sent events where absent. */
  readonly framing?: Framing;
  /** Its streams end without a sign: one that told something is complete where its body is. */
  readonly endsUnannounced?: boolean;
  /** Reads a whole answer. */
  readAnswer(answer: JsonObject): ChatAnswer;
  /**
   * Reads an event of a stream, with its `event:` line or empty; undefined where it means nothing. One that is a list
   * comes as `{items}`.
   */
  readEvent(event: JsonObject, name: string): ChatEvent | readonly ChatEvent[] | undefined;
}

/** A whole answer in OpenAI's words. */
export interface ChatAnswer {
  /** Empty where the provider gives none. */
  readonly id: string;
  readonly choices: readonly ChatChoice[];
  /** OpenAI's `usage`; undefined where the provider counts nothing. */
  readonly usage: JsonObject | undefined;
}

export interface ChatChoice {
  readonly content: string;
  readonly reasoning?: string;
  /** OpenAI's, without `index`. */
  readonly toolCalls?: readonly JsonObject[];
  readonly finishReason: string;
  readonly logprobs?: JsonObject;
  /** What a chat message has no field for. */
  readonly providerFields?: JsonObject;
}

/** An event of a stream in OpenAI's words, as far as it belongs to one choice. */
export interface ChatEvent {
  /** Empty or absent where the event names none. */
  readonly id?: string;
  /** The choice that the event belongs to; 0 where absent. */
  readonly index?: number;
  /** A chunk's `delta`; nothing is sent for an empty one. */
  readonly delta?: JsonObject;
  /** Ends the choice; empty where it goes on. */
  readonly finishReason?: string;
  /** OpenAI's `usage`. The last one counts. */
  readonly usage?: JsonObject | undefined;
}
