import { create } from "@bufbuild/protobuf";
import { type Usage, UsageSchema } from "#gen/sluice/inference/v1/usage_pb.ts";
import type { JsonObject, Outcome, ProviderCall } from "../../provider.ts";
import { dataEvent } from "../sse-event.ts";

/** What a model has written, all of it or a piece. */
export interface TextPiece {
  readonly text: string;
  /** Text before the answer, of a model that tells how it came to it. */
  readonly reasoning?: string;
  /** In OpenAI's words; empty while it writes. */
  readonly finishReason: string;
  /** Undefined where the piece does not tell. */
  readonly inputTokens?: number | undefined;
  readonly outputTokens?: number | undefined;
}

const bytesPerToken = 4;

/** Tells what a model writes as a chat completion, whole or in chunks. */
export class TextAnswer {
  readonly #head: JsonObject;
  readonly #model: string;
  readonly #id: string;
  readonly #includeUsage: boolean;
  #started = false;
  #finishReason = "";
  #inputTokens: number | undefined;
  readonly #promptBytes: number;
  #outputTokens: number | undefined;
  #bytes = 0;

  /** `prompt` is what the input tokens are estimated of, where the model does not tell them. */
  constructor(call: ProviderCall, model: string, prompt: Uint8Array, includeUsage: boolean) {
    this.#promptBytes = prompt.length;
    this.#id = `chatcmpl-${call.callId ?? call.createdAt}`;
    this.#model = model;
    this.#head = { id: this.#id, created: call.createdAt, model };
    this.#includeUsage = includeUsage;
  }

  /** Whether the model has said that it is done. */
  get finished(): boolean {
    return this.#finishReason !== "";
  }

  /** The completion of a whole answer. */
  completion(piece: TextPiece): Uint8Array {
    this.#read(piece);
    this.#finishReason ||= "stop";
    const message: JsonObject = { role: "assistant", content: piece.text, refusal: null };
    if (piece.reasoning !== undefined) message.reasoning_content = piece.reasoning;
    const choice = { index: 0, message, finish_reason: this.#finishReason, logprobs: null };
    const completion = { object: "chat.completion", ...this.#head, choices: [choice], usage: this.#chatUsage() };
    return Buffer.from(JSON.stringify(completion));
  }

  /** Adds the chunks of a piece. */
  push(piece: TextPiece, out: Uint8Array[]): void {
    this.#read(piece);
    if (piece.text === "" && (piece.reasoning ?? "") === "") return;
    this.#begin(out);
    if (piece.reasoning) out.push(this.#chunk({ reasoning_content: piece.reasoning }));
    if (piece.text !== "") out.push(this.#chunk({ content: piece.text }));
  }

  /** The chunks that close a stream. */
  finish(): Uint8Array[] {
    const out: Uint8Array[] = [];
    this.#finishReason ||= "stop";
    this.#begin(out);
    out.push(this.#chunk({}, this.#finishReason));
    if (this.#includeUsage) {
      const chunk = { object: "chat.completion.chunk", ...this.#head, choices: [], usage: this.#chatUsage() };
      out.push(dataEvent(JSON.stringify(chunk)));
    }
    return [...out, dataEvent("[DONE]")];
  }

  outcome(): Outcome {
    return {
      usage: this.#usage(),
      finishReason: this.#finishReason,
      responseModel: this.#model,
      responseId: this.#id,
    };
  }

  #read(piece: TextPiece): void {
    this.#finishReason = piece.finishReason || this.#finishReason;
    this.#inputTokens = piece.inputTokens ?? this.#inputTokens;
    this.#outputTokens = piece.outputTokens ?? this.#outputTokens;
    this.#bytes += Buffer.byteLength(piece.text) + Buffer.byteLength(piece.reasoning ?? "");
  }

  #usage(): Usage {
    const output = this.#outputTokens ?? Math.ceil(this.#bytes / bytesPerToken);
    return create(UsageSchema, {
      inputTokens: BigInt(this.#inputTokens ?? Math.ceil(this.#promptBytes / bytesPerToken)),
      outputTokens: BigInt(output),
      estimated: this.#inputTokens === undefined || this.#outputTokens === undefined,
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
    out.push(this.#chunk({ role: "assistant", content: "" }));
  }

  #chunk(delta: JsonObject, finishReason: string | null = null): Uint8Array {
    const choices = [{ index: 0, delta, finish_reason: finishReason }];
    const chunk: JsonObject = { object: "chat.completion.chunk", ...this.#head, choices };
    if (this.#includeUsage) chunk.usage = null;
    return dataEvent(JSON.stringify(chunk));
  }
}
