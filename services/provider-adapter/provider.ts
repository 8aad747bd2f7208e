import type { UpstreamErrorInit } from "#chassis/errors.ts";
import type { Secret } from "#chassis/secret.ts";
import type { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Usage } from "#gen/sluice/inference/v1/usage_pb.ts";

export type JsonValue = string | number | boolean | null | JsonValue[] | { [key: string]: JsonValue };
export type JsonObject = { [key: string]: JsonValue };

/** Everything a provider may know of a call. */
export interface ProviderCall {
  /** The dialect of `body` and of the payloads to be returned. */
  readonly operation: Operation;
  readonly stream: boolean;
  /** The model's name at the provider. */
  readonly model: string;
  /** The client's bytes in the client's dialect. */
  readonly body: Uint8Array;
  readonly contentType: string;
  /** Without a trailing slash; empty means the provider's own address. */
  readonly baseUrl: string;
  readonly credential: Secret | undefined;
  /** What the provider needs besides an address and a key, by the name of LiteLLM's parameter: `api_version`, say. */
  readonly settings: Readonly<Record<string, string>>;
  /** Lower-case names: the client's dialect headers and the deployment's extra headers. */
  readonly headers: Readonly<Record<string, string>>;
  /** Parameters of the deployment, for fields that the body does not set. */
  readonly defaultParams: JsonObject;
  /** Lowers the output limit to this many tokens, whatever the body says. */
  readonly outputTokenCap: number | undefined;
  readonly dropParams: boolean;
  readonly allowedParams: readonly string[];
  /** The gateway's id of the call: the id of an answer whose provider gives none. */
  readonly callId?: string;
  /** When the call began, in seconds since 1970: the `created` of an answer whose provider gives none. */
  readonly createdAt: number;
}

/** How events lie in the body of a stream. https://smithy.io/2.0/aws/amazon-eventstream.html tells of the binary one. */
export type Framing = "sse" | "aws-eventstream" | "ndjson";

/** The HTTP request for the provider. */
export interface UpstreamRequest {
  readonly method: "POST";
  readonly url: string;
  readonly headers: Record<string, string>;
  readonly body: Uint8Array;
  /** Where the authorizer `aws-sigv4` has to sign it: for which region and service. Absent where a header authorizes it. */
  readonly awsScope?: AwsScope;
}

export interface AwsScope {
  readonly region: string;
  readonly service: string;
}

/** What is known of a call at its end; of an aborted one, as far as it came, with `usage.estimated` set. */
export interface Outcome {
  readonly usage: Usage;
  /** In OpenAI's words; empty where unknown. */
  readonly finishReason: string;
  readonly responseModel: string;
  readonly responseId: string;
}

/**
 * One call's conversation with a provider: a pure state machine, made per call and used by one call only. It does no
 * I/O, reads no clock and no environment. Every method may throw the ConnectError of `upstreamError` when what came is
 * not what the protocol says.
 */
export interface Exchange {
  readonly request: UpstreamRequest;
  /** How the provider frames a stream; server-sent events where absent. `decodeEvents` gets whole frames of it. */
  readonly framing?: Framing;
  /**
   * How far a stream has come by its protocol, where that can be told before the upstream closes the body. `closing`: the
   * closing event came, a trailer may follow. `closed`: nothing can follow, `finish` may be called without waiting for the
   * end of the body. Absent means `open`.
   */
  readonly progress?: "open" | "closing" | "closed";
  /** Turns the whole body of a 2xx answer that is no stream into the client's dialect. */
  decodeBody(body: Uint8Array): Uint8Array;
  /**
   * Turns whole SSE events, in order, into the client's payloads (whole events too, closing blank line included). Each
   * call may be given one or many; the payloads are the same however the events are grouped.
   */
  decodeEvents(events: readonly Uint8Array[]): Uint8Array[];
  /**
   * The payloads of events that go to the client as they are, all at once; undefined where one of them needs a look, and
   * nothing has happened then. What it cannot do costs an event at a time: what stands before a failure must not be lost.
   */
  passEvents?(events: readonly Uint8Array[]): Uint8Array[] | undefined;
  /**
   * The upstream body is complete: returns the closing payloads, which `decodeEvents` has held back (`data: [DONE]`,
   * `message_stop`), so that they leave after the usage was recorded. Throws where the stream was cut short.
   */
  finish(): Uint8Array[];
  /** Valid after `decodeBody` or `finish`, and at any moment of an abort. */
  outcome(): Outcome;
}

/** A piece of an answer that is made here. */
export interface LocalStep {
  /** How long to wait before it. */
  readonly afterMs: number;
  /** Empty means that there is nothing to send after the wait. */
  readonly payload: Uint8Array;
}

/** An answer that a provider makes itself, without an upstream: the last step closes it. The steps may throw. */
export interface LocalAnswer {
  readonly steps: Iterable<LocalStep>;
  /** Valid at any moment, as `Exchange.outcome` is. */
  outcome(): Outcome;
}

/**
 * What a request needs before it is sent that takes a clock or I/O: a signature, or a token that has to be fetched. The
 * adapter's `authorizers/<kind>.ts` does it.
 */
export type AuthorizerKind = "aws-sigv4" | "google-token";

/** A question to a provider: how many tokens the input of a call has. */
export interface TokenCount {
  readonly request: UpstreamRequest;
  /** Reads the whole body of a 2xx answer. Throws the error of `upstreamError` where it holds no count. */
  read(body: Uint8Array): number;
}

/** How one provider speaks. */
export interface Provider {
  readonly id: string;
  /** Completes the headers of every request of this provider; absent where its requests are complete as they are. */
  readonly authorizer?: AuthorizerKind;
  /**
   * The provider is a service of the mesh's own contract at the address of the deployment: calls are relayed to it, and
   * `begin`, which refuses, is for those who want to see a request.
   */
  readonly relays?: true;
  /**
   * Answers without an upstream, where the provider can; `begin` is not called then. Throws a GatewayError where it cannot
   * do what is asked.
   */
  respondLocally?(call: ProviderCall): LocalAnswer;
  /** Prepares a call. Throws a GatewayError where the provider cannot do what is asked. */
  begin(call: ProviderCall): Exchange;
  /** Asks how many tokens the input of a call of MESSAGES has; absent where the provider cannot tell. */
  countTokens?(call: ProviderCall): TokenCount;
  /** Reads a failure: any status of 400 or more, with the body as far as it was read (64 KiB at most). */
  classifyError(status: number, headers: Readonly<Record<string, string>>, body: Uint8Array): UpstreamErrorInit;
}
