import { create } from "@bufbuild/protobuf";
import { upstreamError } from "#chassis/errors.ts";
import { UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import { type Usage, UsageSchema } from "#gen/sluice/inference/v1/usage_pb.ts";
import type { Exchange, JsonObject, Outcome, ProviderCall, UpstreamRequest } from "../../provider.ts";
import { decodeText, objectOf, parseObject } from "../json-reading.ts";
import { dataEvent } from "../sse-event.ts";

/** A piece of a generated text. */
export interface TextPiece {
  readonly text: string;
  /** In OpenAI's words; empty while the text goes on. */
  readonly finishReason: string;
  /** Tokens so far, where the piece tells. */
  readonly inputTokens?: number;
  readonly outputTokens?: number;
}

/** How one provider tells a text. Each of them throws the error of `upstreamError` where what came is an error, or nothing. */
export interface TextProvider {
  readonly id: string;
  /** Reads a whole answer. */
  readAnswer(answer: JsonObject): TextPiece;
  /** Reads an event of a stream; undefined where it tells nothing. */
  readEvent(event: Uint8Array): TextPiece | undefined;
  /** Its streams end without a sign. */
  readonly endsUnannounced?: boolean;
}

const bytesPerToken = 4;

/** A chat or legacy completion over a model that continues texts. */
export function createTextExchange(
  call: ProviderCall,
  request: UpstreamRequest,
  provider: TextProvider,
): Exchange & Required<Pick<Exchange, "decodeWhole">> {
  return new TextExchange(call, request, provider);
}

class TextExchange implements Exchange {
  readonly request: UpstreamRequest;
  readonly #provider: TextProvider;
  readonly #isChat: boolean;
  readonly #includeUsage: boolean;
  readonly #head: JsonObject;
  readonly #id: string;
  #started = false;
  #bytes = 0;
  #finishReason = "";
  #inputTokens: number | undefined;
  #outputTokens: number | undefined;

  constructor(call: ProviderCall, request: UpstreamRequest, provider: TextProvider) {
    this.request = request;
    this.#provider = provider;
    this.#isChat = call.operation === Operation.CHAT_COMPLETIONS;
    const { stream_options: options } = parseObject(decodeText(call.body)) ?? {};
    this.#includeUsage = objectOf(options).include_usage === true;
    this.#id = `${this.#isChat ? "chatcmpl" : "cmpl"}-${call.callId ?? call.createdAt}`;
    this.#head = { id: this.#id, created: call.createdAt, model: call.model };
  }

  get progress(): "open" | "closing" {
    return this.#finishReason === "" ? "open" : "closing";
  }

  decodeBody(body: Uint8Array): Uint8Array {
    const piece = this.#provider.readAnswer(this.#parse(body));
    this.#take(piece);
    const { text } = piece;
    this.#finishReason ||= "stop";
    const told = this.#isChat ? { message: { role: "assistant", content: text, refusal: null } } : { text };
    const choice = { index: 0, ...told, finish_reason: this.#finishReason, logprobs: null };
    const object = this.#isChat ? "chat.completion" : "text_completion";
    return Buffer.from(JSON.stringify({ ...this.#head, object, choices: [choice], usage: this.#chatUsage() }));
  }

  decodeEvents(events: readonly Uint8Array[]): Uint8Array[] {
    const out: Uint8Array[] = [];
    for (const event of events) {
      const piece = this.#finishReason === "" ? this.#provider.readEvent(event) : undefined;
      if (piece !== undefined) this.#tell(piece, out);
    }
    return out;
  }

  decodeWhole(body: Uint8Array): Uint8Array[] {
    const out: Uint8Array[] = [];
    this.#tell(this.#provider.readAnswer(this.#parse(body)), out);
    this.#finishReason ||= "stop";
    return out;
  }

  finish(): Uint8Array[] {
    if (this.#finishReason === "") {
      if (this.#provider.endsUnannounced !== true || !this.#started) {
        throw brokenText(this.#provider.id, "the stream ended before the answer was complete");
      }
      this.#finishReason = "stop";
    }
    const out: Uint8Array[] = [];
    this.#begin(out);
    out.push(this.#chunk("", this.#finishReason));
    if (this.#includeUsage) {
      out.push(dataEvent(JSON.stringify({ ...this.#chunkHead(), choices: [], usage: this.#chatUsage() })));
    }
    return [...out, dataEvent("[DONE]")];
  }

  outcome(): Outcome {
    return {
      usage: this.#usage(),
      finishReason: this.#finishReason,
      responseModel: "",
      responseId: this.#id,
    };
  }

  #parse(body: Uint8Array): JsonObject {
    const answer = parseObject(decodeText(body));
    if (answer === undefined) throw brokenText(this.#provider.id, "the answer is no JSON object");
    return answer;
  }

  #take({ text, finishReason, inputTokens, outputTokens }: TextPiece): void {
    this.#bytes += Buffer.byteLength(text);
    this.#finishReason = finishReason;
    this.#inputTokens = inputTokens ?? this.#inputTokens;
    this.#outputTokens = outputTokens ?? this.#outputTokens;
  }

  #tell(piece: TextPiece, out: Uint8Array[]): void {
    this.#take(piece);
    if (piece.text === "") return;
    this.#begin(out);
    out.push(this.#chunk(piece.text));
  }

  #usage(): Usage {
    const isTold = this.#inputTokens !== undefined && this.#outputTokens !== undefined;
    return create(UsageSchema, {
      inputTokens: BigInt(this.#inputTokens ?? 0),
      outputTokens: BigInt(this.#outputTokens ?? Math.ceil(this.#bytes / bytesPerToken)),
      estimated: !isTold,
    });
  }

  #chatUsage(): JsonObject {
    const { inputTokens, outputTokens } = this.#usage();
    const [prompt, completion] = [Number(inputTokens), Number(outputTokens)];
    return { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion };
  }

  #begin(out: Uint8Array[]): void {
    if (this.#started) return;
    this.#started = true;
    if (this.#isChat) out.push(this.#event({ delta: { role: "assistant", content: "" } }, null));
  }

  #chunk(text: string, finishReason: string | null = null): Uint8Array {
    if (!this.#isChat) return this.#event({ text }, finishReason);
    return this.#event({ delta: text === "" ? {} : { content: text } }, finishReason);
  }

  #event(told: JsonObject, finishReason: string | null): Uint8Array {
    const choices = [{ index: 0, ...told, logprobs: null, finish_reason: finishReason }];
    const chunk: JsonObject = { ...this.#chunkHead(), choices };
    if (this.#includeUsage) chunk.usage = null;
    return dataEvent(JSON.stringify(chunk));
  }

  #chunkHead(): JsonObject {
    return { ...this.#head, object: this.#isChat ? "chat.completion.chunk" : "text_completion" };
  }
}

/** What came is not what the protocol says. Another deployment may do better. */
function brokenText(provider: string, what: string): Error {
  return upstreamError({
    kind: UpstreamErrorKind.BAD_GATEWAY,
    httpStatus: 502,
    provider,
    retryable: true,
    message: `${provider}: ${what}`,
  });
}
