import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange, Outcome, ProviderCall, UpstreamRequest } from "../../provider.ts";
import { readAnswer } from "./answer.ts";
import { ChatStream } from "./chat-stream.ts";
import type { ProviderRow } from "./provider-row.ts";
import { buildRequest } from "./request.ts";
import { ResponsesStream } from "./responses-stream.ts";

/**
 * One call to a provider that speaks OpenAI's format, from a client that speaks it too: bytes go through as they are, both
 * ways, but for the few fields that have to differ. Throws a GatewayError where the provider does not have the operation.
 */
export function createOpenAiExchange(row: ProviderRow, call: ProviderCall): Exchange {
  const { request, stripUsage, logprobs } = buildRequest(row, call);
  return createOpenAiAnswer(row.id, call.operation, request, stripUsage, logprobs);
}

/**
 * The exchange of a request that was built elsewhere and is answered in OpenAI's format. `stripUsage`: the chunk that
 * carries usage and no choices is taken out. `logprobs`: the answer's bytes say nothing about its tokens.
 */
export function createOpenAiAnswer(
  provider: string,
  operation: Operation,
  request: UpstreamRequest,
  stripUsage: boolean,
  logprobs: boolean,
): Exchange {
  const isResponses = operation === Operation.RESPONSES;
  const stream = isResponses ? new ResponsesStream(provider) : new ChatStream(provider, stripUsage, logprobs);
  return new OpenAiExchange(provider, operation, request, stream);
}

class OpenAiExchange implements Exchange {
  readonly request: UpstreamRequest;
  readonly #provider: string;
  readonly #operation: Operation;
  readonly #stream: ChatStream | ResponsesStream;
  #answer: Outcome | undefined;

  constructor(provider: string, operation: Operation, request: UpstreamRequest, stream: ChatStream | ResponsesStream) {
    this.#provider = provider;
    this.#operation = operation;
    this.request = request;
    this.#stream = stream;
  }

  get progress(): "open" | "closing" | "closed" {
    return this.#stream.progress;
  }

  decodeBody(body: Uint8Array): Uint8Array {
    this.#answer = readAnswer(this.#provider, this.#operation, body);
    return body;
  }

  decodeEvents(events: readonly Uint8Array[]): Uint8Array[] {
    return this.#stream.decodeEvents(events);
  }

  passEvents(events: readonly Uint8Array[]): Uint8Array[] | undefined {
    return this.#stream.passEvents(events);
  }

  finish(): Uint8Array[] {
    return this.#stream.finish();
  }

  outcome(): Outcome {
    return this.#answer ?? this.#stream.outcome();
  }
}
