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
  /**
   * Parameters that a translation from another dialect has made out of what a client may say to any model. Where the
   * provider does not have one of them it is left out without a word.
   */
  readonly hints?: readonly string[];
  /** The gateway's id of the call: the id of an answer whose provider gives none. */
  readonly callId?: string;
  /** When the call began, in seconds since 1970: the `created` of an answer whose provider gives none. */
  readonly createdAt: number;
}

/** How events lie in the body of a stream. https://smithy.io/2.0/aws/amazon-eventstream.html tells of the binary one. */
export type Framing = "sse" | "aws-eventstream" | "ndjson";

/** The HTTP request for the provider. */
export interface UpstreamRequest {
  readonly method: "GET" | "POST";
  readonly url: string;
  readonly headers: Record<string, string>;
  readonly body: Uint8Array;
  /** Where the authorizer `aws-sigv4` has to sign it: for which region and service. Absent where a header authorizes it. */
  readonly awsScope?: AwsScope;
  /** What the authorizer `oauth-token` has to exchange for a token. Absent where a header authorizes it. */
  readonly tokenGrant?: TokenGrant;
}

export interface AwsScope {
  readonly region: string;
  readonly service: string;
}

/** What an access token is given for: a form, posted to a token server. https://www.rfc-editor.org/rfc/rfc6749#section-4 */
export interface TokenGrant {
  /** The provider's id, for errors. */
  readonly provider: string;
  /** Whose token server it is, for errors: `IBM`, say. */
  readonly owner: string;
  readonly url: string;
  /** The fields of the form, `grant_type` among them. */
  readonly form: Readonly<Record<string, string | Secret>>;
  /** What stands behind `Basic` in a header, encoded; absent where the form holds the secret. */
  readonly basic?: Secret;
  /** Further headers, small letters; none of them secret. */
  readonly headers?: Readonly<Record<string, string>>;
  /** A header that has to carry a new UUID with every request for a token. */
  readonly requestIdHeader?: string;
}

/** What is known of a call at its end; of an aborted one, as far as it came, with `usage.estimated` set. */
export interface Outcome {
  readonly usage: Usage;
  /** In OpenAI's words; empty where unknown. */
  readonly finishReason: string;
  readonly responseModel: string;
  readonly responseId: string;
}

/** A whole answer of a provider. */
export interface WholeAnswer {
  readonly body: Uint8Array;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
}

/** A call that takes several requests, of a provider that takes one input at a time. They may be sent at once. */
export interface SeveralRequests {
  readonly requests: readonly UpstreamRequest[];
  /** Turns the whole bodies of 2xx answers, in the order of the requests, into the client's dialect. */
  decode(answers: readonly WholeAnswer[]): Uint8Array;
}

/**
 * One call's conversation with a provider: a pure state machine, made per call and used by one call only. It does no
 * I/O, reads no clock and no environment. Every method may throw the ConnectError of `upstreamError` when what came is
 * not what the protocol says.
 */
export interface Exchange {
  readonly request: UpstreamRequest;
  /** Sent in place of `request`, which is the first of them then. Such a call is no stream. */
  readonly several?: SeveralRequests;
  /** How the provider frames a stream; server-sent events where absent. `decodeEvents` gets whole frames of it. */
  readonly framing?: Framing;
  /**
   * How far a stream has come by its protocol, where that can be told before the upstream closes the body. `closing`: the
   * closing event came, a trailer may follow. `closed`: nothing can follow, `finish` may be called without waiting for the
   * end of the body. Absent means `open`.
   */
  readonly progress?: "open" | "closing" | "closed";
  /**
   * Turns the whole body of a 2xx answer that is no stream into the client's dialect. `headers` are those of the answer,
   * their names in small letters: some providers count tokens there.
   */
  decodeBody(body: Uint8Array, headers?: Readonly<Record<string, string>>): Uint8Array;
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
   * The payloads of a stream whose provider sent one whole answer instead. Absent where that is a failure; present where
   * the provider, or the model, may not stream at all. `finish` follows.
   */
  decodeWhole?(body: Uint8Array): Uint8Array[];
  /**
   * A 2xx answer that has to be followed by another request before there is anything for the client: a prediction that is
   * not made yet. Undefined where this is the answer. Absent where every 2xx answer is.
   */
  followUp?(body: Uint8Array): FollowUp | undefined;
  /**
   * Asked when a call is aborted: the request that stops what goes on at the provider without a connection. Undefined where
   * nothing does. Its answer does not matter.
   */
  abandon?(): UpstreamRequest | undefined;
  /**
   * The upstream body is complete: returns the closing payloads, which `decodeEvents` has held back (`data: [DONE]`,
   * `message_stop`), so that they leave after the usage was recorded. Throws where the stream was cut short.
   */
  finish(): Uint8Array[];
  /** Valid after `decodeBody` or `finish`; before that, what is known so far. */
  outcome(): Outcome;
}

/** A request that continues a call. It is authorized by its own headers. */
export interface FollowUp {
  readonly request: UpstreamRequest;
  /** How long to wait before it. */
  readonly afterMs: number;
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
export type AuthorizerKind =
  | "aws-sigv4"
  | "azure-token"
  | "copilot-token"
  | "google-token"
  | "oauth-token"
  | "oci-signature"
  | "sap-deployment";

/** A question to a provider: how many tokens the input of a call has. */
export interface TokenCount {
  readonly request: UpstreamRequest;
  /** Reads the whole body of a 2xx answer. Throws the error of `upstreamError` where it holds no count. */
  read(body: Uint8Array): number;
}

/** What the chat completions of an upstream take beyond plain OpenAI; decided by the provider's row, not by the call. */
export interface ChatUpstream {
  /** The member that limits the output: `max_tokens` or `max_completion_tokens`. */
  readonly outputLimitField: string;
  /** Whether `cache_control` marks may stand on content parts (OpenRouter); OpenAI refuses them. */
  readonly keepsCacheControl?: boolean;
  /** The member of an assistant message in which the upstream takes its own reasoning back; absent where it takes none. */
  readonly reasoningField?: string;
  /** Whether `web_search_options` has any model search the web. */
  readonly searchesWeb?: boolean;
}

/** How one provider speaks. */
export interface Provider {
  readonly id: string;
  /**
   * Whether `begin` and `countTokens` take GENERATE_CONTENT and EMBED_CONTENT as they are. Where they do not, such calls
   * come to them as chat completions and as embeddings.
   */
  readonly takesGenerateContent?: boolean;
  /** What its chat completions take; plain OpenAI's where absent. */
  readonly chatUpstream?: ChatUpstream;
  /** Completes the headers of every request of this provider; absent where its requests are complete as they are. */
  readonly authorizer?: AuthorizerKind;
  /**
   * The provider is a service of the mesh's own contract at the address of the deployment: calls are relayed to it, and
   * `begin`, which refuses, is for those who want to see a request.
   */
  readonly relays?: true;
  /**
   * Whether the provider takes a file at this web address as bytes alone: the adapter fetches it before `begin` then, and
   * puts it into the body. Absent where the provider fetches by itself, or takes no files.
   */
  needsBytes?(call: ProviderCall, address: URL): boolean;
  /**
   * Answers without an upstream, where the provider can; `begin` is not called then. Throws a GatewayError where it cannot
   * do what is asked.
   */
  respondLocally?(call: ProviderCall): LocalAnswer;
  /** Prepares a call. Throws a GatewayError where the provider cannot do what is asked. */
  begin(call: ProviderCall): Exchange;
  /**
   * Asks how many tokens the input of a call of MESSAGES or CHAT_COMPLETIONS has; absent where the provider cannot tell,
   * undefined where it cannot tell of this model.
   */
  countTokens?(call: ProviderCall): TokenCount | undefined;
  /** Reads a failure: any status of 400 or more, with the body as far as it was read (64 KiB at most). */
  classifyError(status: number, headers: Readonly<Record<string, string>>, body: Uint8Array): UpstreamErrorInit;
}
