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
  /** Lower-case names: the client's dialect headers and the deployment's extra headers. */
  readonly headers: Readonly<Record<string, string>>;
  /** Parameters of the deployment, for fields that the body does not set. */
  readonly defaultParams: JsonObject;
  /** Lowers the output limit to this many tokens, whatever the body says. */
  readonly outputTokenCap: number | undefined;
  readonly dropParams: boolean;
  readonly allowedParams: readonly string[];
}

/** The HTTP request for the provider. */
export interface UpstreamRequest {
  readonly method: "POST";
  readonly url: string;
  readonly headers: Record<string, string>;
  readonly body: Uint8Array;
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
  /** Turns the whole body of a 2xx answer that is no stream into the client's dialect. */
  decodeBody(body: Uint8Array): Uint8Array;
  /**
   * Turns whole SSE events, in order, into the client's payloads (whole events too, closing blank line included). Each
   * call may be given one or many; the payloads are the same however the events are grouped.
   */
  decodeEvents(events: readonly Uint8Array[]): Uint8Array[];
  /** The upstream body is complete: returns the closing payloads. Throws where the stream was cut short. */
  finish(): Uint8Array[];
  /** Valid after `decodeBody` or `finish`, and at any moment of an abort. */
  outcome(): Outcome;
}

/** How one provider speaks. */
export interface Provider {
  readonly id: string;
  /** Prepares a call. Throws a GatewayError where the provider cannot do what is asked. */
  begin(call: ProviderCall): Exchange;
  /** Reads a failure: any status of 400 or more, with the body as far as it was read (64 KiB at most). */
  classifyError(status: number, headers: Readonly<Record<string, string>>, body: Uint8Array): UpstreamErrorInit;
}
