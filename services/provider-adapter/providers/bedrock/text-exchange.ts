import { upstreamError } from "#chassis/errors.ts";
import type { Exchange, JsonObject, Outcome, ProviderCall } from "../../provider.ts";
import { TextAnswer, type TextPiece } from "../../translate/chat-over-text/answer.ts";
import { chatOf, textRequest } from "../../translate/chat-over-text/request.ts";
import { countOf, decodeText, objectOf, parseObject, without } from "../../translate/json-reading.ts";
import type { BedrockModel } from "./bedrock-model.ts";
import { brokenAnswer } from "./classify-error.ts";
import { readChunk } from "./event-frames.ts";
import type { TextFormat } from "./text-formats.ts";
import { headerMembers, invokeHeaders, upstreamRequest } from "./upstream-request.ts";

/** A chat completion over Invoke of a model that continues texts. */
export function createTextExchange(call: ProviderCall, model: BedrockModel, format: TextFormat): Exchange {
  return new TextExchange(call, model, format);
}

class TextExchange implements Exchange {
  readonly request: Exchange["request"];
  readonly framing = "aws-eventstream";
  readonly #format: TextFormat;
  readonly #answer: TextAnswer;
  #thinks: boolean;

  constructor(call: ProviderCall, model: BedrockModel, format: TextFormat) {
    const chat = chatOf(call);
    const request = textRequest(without(chat, ...headerMembers), call, "Bedrock", ["top_k"]);
    const body = Buffer.from(JSON.stringify(format.body(request, call.model)));
    this.request = upstreamRequest(call, model, "invoke", body, invokeHeaders(chat));
    this.#format = format;
    this.#thinks = format.thinks === true;
    this.#answer = new TextAnswer(call, model.id, body, objectOf(chat.stream_options).include_usage === true);
  }

  get progress(): "open" | "closing" {
    return this.#answer.finished ? "closing" : "open";
  }

  decodeBody(body: Uint8Array, headers: Readonly<Record<string, string>> = {}): Uint8Array {
    const piece = this.#read(decodeText(body));
    if (piece.text === "" && piece.finishReason === "")
      throw upstreamError(brokenAnswer("Bedrock's answer has no text"));
    return this.#answer.completion({
      ...piece,
      inputTokens: piece.inputTokens ?? headerCount(headers, "input"),
      outputTokens: piece.outputTokens ?? headerCount(headers, "output"),
    });
  }

  decodeEvents(frames: readonly Uint8Array[]): Uint8Array[] {
    const out: Uint8Array[] = [];
    for (const frame of frames) {
      const text = readChunk(frame);
      if (text !== undefined) this.#answer.push(this.#read(text), out);
    }
    return out;
  }

  finish(): Uint8Array[] {
    if (!this.#answer.finished) throw upstreamError(brokenAnswer("Bedrock's stream ended before the answer did"));
    return this.#answer.finish();
  }

  outcome(): Outcome {
    return this.#answer.outcome();
  }

  #read(text: string): TextPiece {
    const answer = parseObject(text);
    if (answer === undefined) throw upstreamError(brokenAnswer("Bedrock's answer is not JSON"));
    const piece = this.#format.read(answer);
    const metrics: JsonObject = objectOf(answer["amazon-bedrock-invocationMetrics"]);
    return {
      ...this.#split(piece),
      inputTokens: countOf(metrics.inputTokenCount) ?? piece.inputTokens,
      outputTokens: countOf(metrics.outputTokenCount) ?? piece.outputTokens,
    };
  }

  /** The mark that ends the thoughts is one token, so that no chunk holds half of it. */
  #split(piece: TextPiece): TextPiece {
    if (!this.#thinks) return piece;
    const [reasoning = "", text] = piece.text.split("</think>", 2);
    this.#thinks = text === undefined;
    return { ...piece, reasoning, text: (text ?? "").trimStart() };
  }
}

/** Bedrock counts the tokens of every model, and tells them in headers. */
export function headerCount(headers: Readonly<Record<string, string>>, of: "input" | "output"): number | undefined {
  const value = headers[`x-amzn-bedrock-${of}-token-count`] ?? "";
  return /^\d{1,9}$/.test(value) ? Number(value) : undefined;
}
