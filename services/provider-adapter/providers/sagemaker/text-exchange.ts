import { upstreamError } from "#chassis/errors.ts";
import { NdjsonSplitter } from "../../ndjson.ts";
import type { Exchange, JsonObject, JsonValue, Outcome, ProviderCall } from "../../provider.ts";
import { TextAnswer, type TextPiece } from "../../translate/chat-over-text/answer.ts";
import { type PromptTemplate, promptOf, templates } from "../../translate/chat-over-text/prompt.ts";
import { chatOf, defined, type TextRequest, textRequest } from "../../translate/chat-over-text/request.ts";
import { countOf, decodeText, isObject, listOf, objectOf, textOf } from "../../translate/json-reading.ts";
import type { AwsService } from "../aws-errors.ts";
import { malformed } from "../malformed.ts";
import { readPart } from "./payload-parts.ts";
import { upstreamRequest } from "./upstream-request.ts";

/** Parameters of Hugging Face's server that OpenAI has too. */
const own = ["top_k", "seed", "frequency_penalty"];
/** Its server refuses 0. */
const leastTemperature = 0.01;

/** How models were taught to read a chat, by what `hf_model_name` or the endpoint is called. */
const templateOf: readonly (readonly [RegExp, PromptTemplate])[] = [
  [/llama-?3/i, templates.llama3],
  [/llama-?2/i, templates.llama2],
  [/mistral|mixtral/i, templates.mistral],
  [/deepseek-?r1/i, templates.deepseek],
  [/qwen/i, templates.chatml],
];

/**
 * A chat completion of an endpoint whose server continues texts as Hugging Face's does:
 * https://huggingface.co/docs/text-generation-inference/reference/api_reference
 */
export function createTextExchange(call: ProviderCall, service: AwsService): Exchange {
  return new TextExchange(call, service);
}

class TextExchange implements Exchange {
  readonly request: Exchange["request"];
  readonly framing = "aws-eventstream";
  readonly #service: AwsService;
  readonly #prompt: string;
  readonly #answer: TextAnswer;
  readonly #lines = new NdjsonSplitter();
  /** A server of the older kind never says that it is done. */
  #endless = false;

  constructor(call: ProviderCall, service: AwsService) {
    const chat = chatOf(call);
    const request = textRequest(chat, call, "SageMaker", own);
    const name = call.settings.hf_model_name || call.model;
    const template = templateOf.find(([pattern]) => pattern.test(name))?.[1] ?? templates.plain;
    this.#service = service;
    this.#prompt = promptOf(template, request.turns);
    this.request = upstreamRequest(call, Buffer.from(JSON.stringify(textBody(this.#prompt, request, call.stream))));
    const includeUsage = objectOf(chat.stream_options).include_usage === true;
    this.#answer = new TextAnswer(call, call.model, Buffer.from(this.#prompt), includeUsage);
  }

  get progress(): "open" | "closing" {
    return this.#answer.finished ? "closing" : "open";
  }

  decodeBody(body: Uint8Array): Uint8Array {
    const parsed = this.#parse(decodeText(body));
    const answer = objectOf(Array.isArray(parsed) ? listOf(parsed)[0] : parsed);
    const text = answer.generated_text ?? answer.generation ?? listOf(answer.outputs)[0];
    if (typeof text !== "string") throw this.#broken("the answer has no text");
    const written = text.startsWith(this.#prompt) ? text.slice(this.#prompt.length) : text;
    return this.#answer.completion({ text: written, ...detailsOf(answer) });
  }

  decodeEvents(frames: readonly Uint8Array[]): Uint8Array[] {
    const out: Uint8Array[] = [];
    for (const frame of frames) {
      for (const line of this.#lines.push(readPart(this.#service, frame))) this.#push(line, out);
    }
    return out;
  }

  finish(): Uint8Array[] {
    const out: Uint8Array[] = [];
    const rest = this.#lines.end();
    if (rest !== undefined) this.#push(rest, out);
    if (!this.#answer.finished && !this.#endless) throw this.#broken("the stream ended before the answer did");
    return [...out, ...this.#answer.finish()];
  }

  outcome(): Outcome {
    return this.#answer.outcome();
  }

  /** A line of a stream: an event whose data is an object, or the object alone. */
  #push(line: Uint8Array, out: Uint8Array[]): void {
    const text = decodeText(line)
      .replace(/^data:\s*/, "")
      .trim();
    if (text === "" || text === "[DONE]" || /^(?::|event:|id:|retry:)/.test(text)) return;
    const event = objectOf(this.#parse(text));
    const token = objectOf(event.token);
    const older = listOf(event.outputs)[0];
    if (typeof older === "string") this.#endless = true;
    const written = token.special === true ? "" : textOf(token.text ?? older);
    const last = typeof event.generated_text === "string" || isObject(event.details);
    const end = last ? detailsOf(event) : { finishReason: "" };
    this.#answer.push({ text: written, ...end }, out);
  }

  #parse(text: string): JsonValue {
    let value: JsonValue;
    try {
      value = JSON.parse(text);
    } catch {
      throw this.#broken("the answer is not JSON");
    }
    const error = isObject(value) ? textOf(value.error) || textOf(value.error_message) : "";
    if (error !== "") throw this.#broken(error);
    return value;
  }

  #broken(what: string): Error {
    return upstreamError(malformed(this.#service.id, `${this.#service.name}: ${what}`));
  }
}

function textBody(prompt: string, request: TextRequest, stream: boolean): JsonObject {
  const { temperature, topP, maxTokens, stop, passed } = request;
  const parameters = defined({
    max_new_tokens: maxTokens,
    temperature: temperature === 0 ? leastTemperature : temperature,
    top_p: topP,
    stop,
    ...passed,
  });
  return { inputs: prompt, parameters, ...(stream ? { stream } : {}) };
}

/** How it ended, where the server tells; `stop` where it does not. */
function detailsOf(answer: JsonObject): Omit<TextPiece, "text"> {
  const details = objectOf(answer.details);
  return {
    finishReason: textOf(details.finish_reason) === "length" ? "length" : "stop",
    inputTokens: countOf(details.input_length) ?? (listOf(details.prefill).length || undefined),
    outputTokens: countOf(details.generated_tokens),
  };
}
