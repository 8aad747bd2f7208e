import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { JsonObject, JsonValue } from "../../provider.ts";
import { isObject, objectOf, objectsOf, parseObject, textOf } from "../json-reading.ts";
import type { GeminiModel } from "./gemini-models.ts";
import { geminiParts } from "./request-content.ts";

/** The contents of a Gemini request, and its system instruction. */
export interface GeminiContents {
  readonly contents: JsonObject[];
  readonly system: JsonObject | undefined;
}

interface Turn {
  readonly kind: "user" | "assistant" | "tool";
  readonly parts: JsonObject[];
}

/**
 * `skip_thought_signature_validator` in base64: what stands in for a signature that the client lost, or that another
 * provider never gave. https://ai.google.dev/gemini-api/docs/thought-signatures#faqs
 */
export const lostSignature = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=";

/**
 * Turns chat messages into Gemini's contents. `system` and `developer` messages, wherever they stand, become the system
 * instruction in their order. Consecutive messages of one kind become one content, because the results of parallel calls
 * have to stand in one. A result finds its function's name by the call's id. An assistant message gets back what an
 * answer carried as baggage: the signatures of its calls, and `provider_specific_fields.parts` (as long as text and
 * calls still agree with it).
 */
export function geminiContents(messages: JsonValue | undefined, model: GeminiModel): GeminiContents {
  if (!Array.isArray(messages)) throw invalid("'messages' has to be an array.");
  const system: JsonObject[] = [];
  const turns: Turn[] = [];
  const reader = new MessageReader(model);
  for (const message of messages) {
    if (!isObject(message)) throw invalid("Every message has to be an object.");
    if (message.role === "system" || message.role === "developer") system.push(...geminiParts(message.content));
    else for (const turn of reader.read(message)) append(turns, turn);
  }
  // A chat may consist of instructions alone; Gemini wants somebody to answer.
  if (turns.length === 0) return { contents: [{ role: "user", parts: system }], system: undefined };
  return {
    contents: turns.map(({ kind, parts }) => ({ role: kind === "assistant" ? "model" : "user", parts })),
    system: system.length === 0 ? undefined : { parts: system },
  };
}

class MessageReader {
  readonly #model: GeminiModel;
  readonly #names = new Map<string, string>();
  #lastName = "";

  constructor(model: GeminiModel) {
    this.#model = model;
  }

  read(message: JsonObject): Turn[] {
    switch (message.role) {
      case "user":
        return [{ kind: "user", parts: geminiParts(message.content) }];
      case "assistant":
        return [{ kind: "assistant", parts: this.#assistantParts(message) }];
      case "tool":
      case "function":
        return this.#toolResult(message);
      default:
        throw invalid(`A message has the unknown role '${textOf(message.role)}'.`);
    }
  }

  #assistantParts(message: JsonObject): JsonObject[] {
    const calls = objectsOf(message.tool_calls);
    if (isObject(message.function_call)) calls.push({ function: message.function_call });
    for (const call of calls) {
      this.#lastName = textOf(objectOf(call.function).name);
      this.#names.set(textOf(call.id), this.#lastName);
    }
    const native = baggage(message, calls);
    if (native !== undefined) return native;
    const parts = geminiParts(message.content);
    if (parts.length === 0) parts.push(...geminiParts(message.refusal));
    const callParts = calls.map(functionCallPart);
    const [first] = callParts;
    if (this.#model.wantsSignatures && first !== undefined) first.thoughtSignature ??= lostSignature;
    return [...parts, ...callParts];
  }

  #toolResult(message: JsonObject): Turn[] {
    const id = textOf(message.tool_call_id);
    const name = this.#names.get(id) ?? (textOf(message.name) || this.#lastName);
    if (name === "") throw invalid(`A tool message answers the call '${id}', which no message before it made.`);
    const given = geminiParts(message.content);
    const media = given.filter((part) => part.text === undefined);
    const text = given.map((part) => textOf(part.text)).join("\n");
    const result: JsonObject = { name, response: functionResponse(text, message.is_error === true) };
    if (id !== "") result.id = id;
    if (media.length > 0 && this.#model.mediaInResults) {
      return [{ kind: "tool", parts: [{ functionResponse: { ...result, parts: media } }] }];
    }
    const turn: Turn = { kind: "tool", parts: [{ functionResponse: result }] };
    return media.length === 0 ? [turn] : [turn, { kind: "user", parts: media }];
  }
}

function functionCallPart(call: JsonObject): JsonObject {
  const named = objectOf(call.function);
  const functionCall: JsonObject = { name: textOf(named.name), args: callArguments(named.arguments) };
  if (textOf(call.id) !== "") functionCall.id = textOf(call.id);
  const part: JsonObject = { functionCall };
  const signature = signatureOf(call);
  if (signature !== "") part.thoughtSignature = signature;
  return part;
}

/** The signature of a call, where this gateway put it, or as Google's own chat completions endpoint tells it. */
function signatureOf(call: JsonObject): string {
  const own = [call.provider_specific_fields, objectOf(call.function).provider_specific_fields];
  const google = objectOf(objectOf(call.extra_content).google);
  return (
    own.map((fields) => textOf(objectOf(fields).thought_signature)).find((text) => text !== "") ??
    textOf(google.thought_signature)
  );
}

/**
 * Arguments as the object that Gemini wants. Models do write arguments that are no JSON object (cut off by the output
 * limit, say); refusing them would make such a conversation impossible to continue, so they are wrapped.
 */
function callArguments(value: JsonValue | undefined): JsonObject {
  if (isObject(value)) return value;
  const text = textOf(value);
  return text.trim() === "" ? {} : (parseObject(text) ?? { invalid_arguments: text });
}

/** Gemini wants an object; `output` and `error` are its own words for a plain one. */
function functionResponse(text: string, failed: boolean): JsonObject {
  if (failed) return { error: text };
  return parseObject(text) ?? { output: text };
}

function baggage(message: JsonObject, calls: readonly JsonObject[]): JsonObject[] | undefined {
  const parts = objectsOf(objectOf(message.provider_specific_fields).parts);
  if (parts.length === 0) return undefined;
  const text = parts.map((part) => (part.thought === true ? "" : textOf(part.text))).join("");
  const own = geminiParts(message.content).map((part) => textOf(part.text));
  const names = parts
    .filter((part) => isObject(part.functionCall))
    .map((part) => textOf(objectOf(part.functionCall).name));
  const same =
    text === own.join("") &&
    names.length === calls.length &&
    calls.every((call, at) => textOf(objectOf(call.function).name) === names[at]);
  return same ? withCallIds(parts, calls) : undefined;
}

/** A call that Gemini gave no id goes back under the one that its result names. */
function withCallIds(parts: readonly JsonObject[], calls: readonly JsonObject[]): JsonObject[] {
  let at = 0;
  return parts.map((part) => {
    if (!isObject(part.functionCall)) return { ...part };
    const id = textOf(calls[at++]?.id);
    return id === "" ? { ...part } : { ...part, functionCall: { ...part.functionCall, id } };
  });
}

function append(turns: Turn[], turn: Turn): void {
  const last = turns.at(-1);
  if (last?.kind === turn.kind) last.parts.push(...turn.parts);
  else if (turn.parts.length > 0) turns.push(turn);
}

function invalid(message: string): Error {
  return gatewayError(Reason.INVALID_REQUEST, message, { param: "messages" });
}
