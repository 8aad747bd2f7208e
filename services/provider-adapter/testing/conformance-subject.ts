import type { UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import type { JsonObject } from "../provider.ts";

/** What a client may send; each has to reach the provider in its own words. */
export type RequestCase =
  | "text"
  | "tools"
  | "no tools"
  | "a needed tool"
  | "a named tool"
  | "parallel tools"
  | "tool results"
  | "image in"
  | "reasoning"
  | "JSON schema";

/** What a provider may answer, whole and as a stream. */
export type AnswerCase = "text" | "length" | "tool call" | "parallel calls" | "reasoning" | "JSON";

/** What a provider says, in nobody's words. Its usage is always that of `saidUsage`. */
export interface Said {
  readonly text: string;
  readonly reasoning: string;
  readonly calls: readonly { readonly id: string; readonly name: string; readonly input: JsonObject }[];
  readonly finish: "stop" | "length" | "tool_calls";
}

/** 20 tokens in, 5 of them from a cache; 7 out, 3 of them reasoning. A wire tells what its provider tells. */
export const saidUsage = { input: 20, cached: 5, output: 7, reasoning: 3 } as const;

/** How a stream ends: as it should, with its end told twice, or without one. */
export type StreamEnding = "complete" | "two finishes" | "no finish";

/** How a family of providers writes its answers; by hand, after their documentation. */
export interface Wire {
  /** A chat client gets the provider's events as they are: an end that is told twice too. */
  readonly passed?: true;
  /** The content type of a stream. */
  readonly streamType: string;
  whole(said: Said, model: string): JsonObject;
  stream(said: Said, ending: StreamEnding, model: string): Uint8Array[];
  /** The body of a failure. */
  failure(status: number, message: string): JsonObject;
  /** A failure in a stream that has begun. */
  failedEvent(message: string): Uint8Array;
  /** An event of a type that the gateway has never heard of; undefined where the protocol has no types. */
  readonly unknownEvent: Uint8Array | undefined;
  readonly brokenEvent: Uint8Array;
  /** An event with so many bytes of text in it. */
  longEvent(bytes: number): Uint8Array;
  /** Whole answers that hold no choice, or nothing at all. */
  readonly empty: readonly JsonObject[];
  /** What of `saidUsage` is metered: input without the cached part, cached, output, reasoning. */
  readonly metered: readonly [input: number, cached: number, output: number, reasoning: number];
  /** Of each request, what the provider's body has to hold, other members aside. */
  readonly sends: Readonly<Record<RequestCase, JsonObject>>;
}

/** A provider, or one of the dialects that it speaks, as the conformance suite takes it. */
export interface ConformanceSubject {
  /** What tells it from others of the same provider; absent where it is the only one. */
  readonly name?: string;
  readonly model: string;
  readonly wire: Wire;
  /** A key as it is, or several secrets in a JSON object. */
  readonly credential: string;
  /** Below the fake provider's own address: the base that is configured. Empty if absent. */
  readonly base?: string;
  readonly settings?: Readonly<Record<string, string>>;
  /** Where requests have to arrive, whole and for a stream: path and query. */
  readonly paths: { readonly whole: string; readonly stream: string };
  /** The header that has to carry the credential, in lower case, and how it begins. */
  readonly authorization: readonly [header: string, start: string];
  /**
   * Requests that this provider cannot take, with the reason: they have to be refused by the parameter's name. Overrides
   * what the wire sends.
   */
  readonly refuses?: Readonly<Partial<Record<RequestCase, string>>>;
  /** What the provider's body holds where it is not what the wire says. */
  readonly sends?: Readonly<Partial<Record<RequestCase, JsonObject>>>;
  /** Answers that this provider never gives, with the reason. */
  readonly neverAnswers?: Readonly<Partial<Record<AnswerCase, string>>>;
  /** The kinds of failures, by status, where they are not what the status says. */
  readonly kinds?: Readonly<Record<number, UpstreamErrorKind>>;
  /** What a call without any credential has to name; or why it needs none. */
  readonly missingCredential: { readonly names: string; readonly base?: string } | { readonly neededNot: string };
}
