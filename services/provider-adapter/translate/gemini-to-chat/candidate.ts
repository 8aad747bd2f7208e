import type { JsonObject } from "../../provider.ts";
import { isObject, listOf, objectOf, objectsOf, textOf } from "../json-reading.ts";
import { geminiFinishReason, isPlainFinish } from "./finish-reason.ts";
import { carriedFields, groundingAnnotations } from "./grounding.ts";
import { chatLogprobs } from "./logprobs.ts";
import { PartialCall } from "./partial-call.ts";

/** What an ended candidate adds to what its deltas told. */
export interface CandidateEnding {
  readonly finishReason: string;
  readonly annotations: JsonObject[];
  readonly providerFields: JsonObject | undefined;
}

/**
 * Reads one candidate of an answer, whole or in the pieces of a stream: a reducer, one method per kind of part. Every
 * part becomes a delta of a chat message at once. What a chat message cannot hold (code that Gemini ran, signatures of
 * texts, an order that a message does not keep) travels as `provider_specific_fields.parts`.
 */
export class Candidate {
  readonly index: number;
  readonly #nextCallId: () => string;
  #content = "";
  readonly #parts: JsonObject[] = [];
  #calls = 0;
  #partial: PartialCall | undefined;
  #needsBaggage = false;
  #reached = 0;
  #finishReason = "";
  #finishMessage = "";
  #blocked: JsonObject | undefined;
  #fields: JsonObject = {};

  constructor(index: number, nextCallId: () => string) {
    this.index = index;
    this.#nextCallId = nextCallId;
  }

  /** Whether it said why it ended, and nothing after that. Gemini may name a reason and go on, after code was run. */
  get finished(): boolean {
    return this.#finishReason !== "" || this.#blocked !== undefined;
  }

  /** Takes a candidate, or the next piece of one. Returns the deltas, in the order of the parts. */
  push(candidate: JsonObject): JsonObject[] {
    const parts = objectsOf(objectOf(candidate.content).parts);
    const deltas = parts.flatMap((part) => this.#part(part));
    const reason = candidate.finishReason;
    const named = typeof reason === "number" ? String(reason) : textOf(reason);
    if (named !== "" || parts.length > 0) this.#finishReason = named;
    this.#finishMessage = textOf(candidate.finishMessage) || this.#finishMessage;
    this.#fields = { ...this.#fields, ...carriedFields(candidate) };
    if (named !== "" && this.#partial !== undefined) deltas.push(...this.#endPartial(this.#partial.end()));
    return deltas;
  }

  /** Ends a candidate that there is none of, because the prompt was refused. */
  block(feedback: JsonObject): JsonObject {
    this.#blocked = feedback;
    const reason = textOf(feedback.blockReasonMessage) || `The prompt was blocked: ${textOf(feedback.blockReason)}`;
    return { refusal: reason };
  }

  ending(): CandidateEnding {
    const fields: JsonObject = { ...this.#fields };
    if (this.#blocked !== undefined) fields.prompt_feedback = this.#blocked;
    if (this.#finishReason !== "" && !isPlainFinish(this.#finishReason)) fields.finish_reason = this.#finishReason;
    if (this.#finishMessage !== "") fields.finish_message = this.#finishMessage;
    if (this.#needsBaggage) fields.parts = this.#parts;
    return {
      finishReason:
        this.#blocked === undefined ? geminiFinishReason(this.#finishReason, this.#calls > 0) : "content_filter",
      annotations: groundingAnnotations(objectOf(this.#fields.grounding_metadata), this.#content),
      providerFields: Object.keys(fields).length > 0 ? fields : undefined,
    };
  }

  /** Every part of a kind that nobody knows is kept, so that it can go back. */
  #part(part: JsonObject): JsonObject[] {
    if (isObject(part.functionCall)) return this.#functionCall(part, part.functionCall);
    if (isObject(part.inlineData)) return this.#media(part, part.inlineData);
    if (typeof part.text !== "string") {
      this.#keep(part, true);
      return [];
    }
    return part.thought === true ? this.#thought(part, part.text) : this.#text(part, part.text);
  }

  #text(part: JsonObject, text: string): JsonObject[] {
    this.#order(1);
    this.#keep(part, textOf(part.thoughtSignature) !== "");
    this.#content += text;
    return text === "" ? [] : [{ content: text }];
  }

  #thought(part: JsonObject, text: string): JsonObject[] {
    this.#order(0);
    this.#keep(part, textOf(part.thoughtSignature) !== "");
    return text === "" ? [] : [{ reasoning_content: text }];
  }

  #media(part: JsonObject, { mimeType, data }: JsonObject): JsonObject[] {
    const type = textOf(mimeType);
    // What is signed has to go back as it was; anything else would only travel twice.
    if (textOf(part.thoughtSignature) !== "") this.#keep(part, true);
    // A sketch that the model thinks with.
    if (part.thought === true) return [];
    if (type.startsWith("image/")) {
      return [{ images: [{ type: "image_url", image_url: { url: `data:${type};base64,${textOf(data)}` } }] }];
    }
    return type.startsWith("audio/") ? [{ audio: { data: textOf(data), transcript: "", mime_type: type } }] : [];
  }

  #functionCall(part: JsonObject, functionCall: JsonObject): JsonObject[] {
    if (this.#partial === undefined && functionCall.partialArgs === undefined && functionCall.willContinue !== true) {
      return this.#call(part, functionCall);
    }
    this.#partial ??= new PartialCall();
    const whole = this.#partial.push(part, functionCall);
    return whole === undefined ? [] : this.#endPartial(whole);
  }

  #endPartial(part: JsonObject): JsonObject[] {
    this.#partial = undefined;
    return this.#call(part, objectOf(part.functionCall));
  }

  #call(part: JsonObject, functionCall: JsonObject): JsonObject[] {
    this.#order(2);
    this.#keep(part, false);
    const call: JsonObject = {
      index: this.#calls++,
      id: textOf(functionCall.id) || this.#nextCallId(),
      type: "function",
      function: { name: textOf(functionCall.name), arguments: JSON.stringify(functionCall.args ?? {}) },
    };
    const signature = textOf(part.thoughtSignature);
    if (signature !== "") call.provider_specific_fields = { thought_signature: signature };
    return [{ tool_calls: [call] }];
  }

  #order(rank: number): void {
    if (rank < this.#reached) this.#needsBaggage = true;
    this.#reached = Math.max(this.#reached, rank);
  }

  /** Texts of one kind that follow one another are kept as one: a stream cuts them anywhere. */
  #keep(part: JsonObject, unsayable: boolean): void {
    this.#needsBaggage ||= unsayable;
    const last = this.#parts.at(-1);
    const joins =
      typeof last?.text === "string" &&
      typeof part.text === "string" &&
      last.thought === part.thought &&
      last.thoughtSignature === undefined;
    if (joins) this.#parts[this.#parts.length - 1] = { ...part, text: textOf(last.text) + textOf(part.text) };
    else if (part.text !== "" || unsayable) this.#parts.push(part);
  }
}

/** The log probabilities of a candidate, or of a piece of one; undefined where it has none. */
export function candidateLogprobs(candidate: JsonObject): JsonObject | undefined {
  const result = objectOf(candidate.logprobsResult);
  return listOf(result.chosenCandidates).length === 0 ? undefined : { content: chatLogprobs(result), refusal: null };
}
