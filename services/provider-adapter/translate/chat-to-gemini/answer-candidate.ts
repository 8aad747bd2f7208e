import type { JsonObject, JsonValue } from "../../provider.ts";
import { contentText, reasoningText } from "../chat-to-messages/answer.ts";
import { isObject, objectOf, objectsOf, parseObject, textOf } from "../json-reading.ts";
import { callBaggage, messageBaggage, writeSignature } from "../thought-signature.ts";
import { groundingMetadata, logprobsResult } from "./answer-grounding.ts";
import { finishReasonForGemini } from "./finish-reason.ts";

/** What is known of a call before its answer. */
export interface GeminiAnswerFrame {
  /** The id of the provider that answers. */
  readonly provider: string;
  /** The member in which it takes its own reasoning back; absent where it takes none. */
  readonly reasoningField?: string | undefined;
  /** Whether the client wants to see what the model thought. */
  readonly includeThoughts: boolean;
}

interface PartialCall {
  readonly index: number;
  id: string;
  name: string;
  arguments: string;
  extras: JsonObject;
}

/**
 * One choice of a chat completion, whole or in the deltas of a stream, as a candidate of Gemini's: a reducer. Texts,
 * thoughts and images become parts at once. Calls, which Gemini tells whole, come with the end. What else the provider
 * wants back travels as the signature of the first call, as Gemini's own does, else of a last empty text.
 */
export class GeminiCandidate {
  readonly index: number;
  readonly #frame: GeminiAnswerFrame;
  readonly #calls: PartialCall[] = [];
  readonly #annotations: JsonObject[] = [];
  readonly #logprobs: JsonObject[] = [];
  #content = "";
  #reasoning = "";
  #baggage: JsonObject = {};
  #finishReason = "";
  #refused = false;

  constructor(index: number, frame: GeminiAnswerFrame) {
    this.index = index;
    this.#frame = frame;
  }

  /** Takes a choice, or the next piece of one, by its message or delta. Returns the parts that are whole already. */
  push(choice: JsonObject, message: JsonObject): JsonObject[] {
    const parts: JsonObject[] = [];
    const reasoning = reasoningText(message);
    this.#reasoning += reasoning;
    if (reasoning !== "" && this.#frame.includeThoughts) parts.push({ text: reasoning, thought: true });
    const refusal = textOf(message.refusal);
    this.#refused ||= refusal !== "";
    const text = contentText(message) + refusal;
    this.#content += text;
    if (text !== "") parts.push({ text });
    for (const image of objectsOf(message.images)) parts.push(...imageParts(textOf(objectOf(image.image_url).url)));
    for (const [at, call] of objectsOf(message.tool_calls).entries()) this.#call(call, at);
    if (isObject(message.function_call)) this.#call({ function: message.function_call }, 0);
    this.#annotations.push(...objectsOf(message.annotations));
    this.#logprobs.push(...objectsOf(objectOf(choice.logprobs).content));
    this.#keep(messageBaggage(message));
    this.#finishReason = textOf(choice.finish_reason) || this.#finishReason;
    return parts;
  }

  /** The ended candidate, with the parts that `parts` does not hold yet; undefined where a call has no name. */
  end(parts: readonly JsonObject[]): JsonObject | undefined {
    if (this.#calls.some(({ name }) => name === "")) return undefined;
    const calls = this.#calls.map(callPart);
    const signature = this.#signature();
    const [first] = calls;
    if (signature !== undefined && first !== undefined) first.thoughtSignature = signature;
    const all = [...parts, ...calls];
    if (first === undefined && signature !== undefined) all.push({ text: "", thoughtSignature: signature });
    const candidate: JsonObject = {
      // Clients take an answer without any part for an invalid one.
      content: { parts: all.length === 0 ? [{ text: "" }] : all, role: "model" },
      finishReason: finishReasonForGemini(this.#finishReason, this.#refused),
      index: this.index,
    };
    const grounding = groundingMetadata(this.#annotations, this.#content);
    if (grounding !== undefined) candidate.groundingMetadata = grounding;
    if (this.#logprobs.length > 0) candidate.logprobsResult = logprobsResult(this.#logprobs);
    return candidate;
  }

  /** Some upstreams give every call the index 0, and only a new id tells that a new call begins. */
  #call(call: JsonObject, at: number): void {
    const index = typeof call.index === "number" ? call.index : at;
    const id = textOf(call.id);
    let open = this.#calls.findLast((known) => known.index === index);
    if (open === undefined || (id !== "" && open.id !== "" && id !== open.id)) {
      open = { index, id, name: "", arguments: "", extras: {} };
      this.#calls.push(open);
    }
    const named = objectOf(call.function);
    open.id ||= id || `call_${this.#calls.length - 1}`;
    open.name ||= textOf(named.name);
    open.arguments += isObject(named.arguments) ? JSON.stringify(named.arguments) : textOf(named.arguments);
    Object.assign(open.extras, callBaggage(call));
  }

  #keep(members: JsonObject): void {
    const { thinking_blocks: blocks, ...others } = members;
    if (blocks !== undefined) {
      this.#baggage.thinking_blocks = [...objectsOf(this.#baggage.thinking_blocks), ...objectsOf(blocks)];
    }
    Object.assign(this.#baggage, others);
  }

  #signature(): string | undefined {
    const { provider, reasoningField } = this.#frame;
    const message = { ...this.#baggage };
    if (reasoningField !== undefined && this.#reasoning !== "") message[reasoningField] = this.#reasoning;
    const extras = this.#calls.filter((call) => Object.keys(call.extras).length > 0);
    const calls = Object.fromEntries(extras.map(({ id, extras: members }) => [id, members]));
    return writeSignature({ provider, message, calls });
  }
}

function callPart({ id, name, arguments: text }: PartialCall): JsonObject {
  return { functionCall: { id, name, args: callArguments(text) } };
}

/** Arguments that are no JSON object, which models do write, are wrapped: Gemini's clients want an object. */
function callArguments(text: string): JsonValue {
  return text.trim() === "" ? {} : (parseObject(text) ?? { invalid_arguments: text });
}

function imageParts(url: string): JsonObject[] {
  const [, mimeType = "", data = ""] = /^data:([^;,]*);base64,(.*)$/s.exec(url) ?? [];
  if (data !== "") return [{ inlineData: { mimeType, data } }];
  return url === "" ? [] : [{ fileData: { mimeType: "image/png", fileUri: url } }];
}
