import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { JsonObject, JsonValue } from "../../provider.ts";
import { isObject, objectOf, textOf } from "../json-reading.ts";
import { readSignatures } from "../thought-signature.ts";
import type { TranslationSettings } from "../unsupported-parameter.ts";
import { contentParts, namedObject, partsOf, plainText, ranCode, refuse, resultText } from "./request-content.ts";

/** Who is spoken to. */
export interface MessageTarget {
  /** The provider's id: it alone gets back what it has signed. */
  readonly provider: string;
  /** The member in which it takes its own reasoning back; absent where it takes none. */
  readonly reasoningField?: string | undefined;
}

/** A call that no result has answered yet. */
interface OpenCall {
  readonly id: string;
  readonly name: string;
}

/**
 * Turns Google's contents and system instruction into chat messages. Results of functions become `tool` messages, which
 * OpenAI wants right behind the call; what else a turn holds follows as a user message. Google matches results with calls
 * by name and order where they have no id; chat completions want an id, so that one is made up.
 */
export function chatMessages(
  system: JsonValue | undefined,
  contents: JsonValue | undefined,
  target: MessageTarget,
  settings: TranslationSettings,
): JsonObject[] {
  const messages: JsonObject[] = [];
  const instructions = typeof system === "string" || isObject(system) ? plainText(system) : "";
  if (instructions !== "") messages.push({ role: "system", content: instructions });
  const reader = new ContentReader(target, settings);
  for (const content of turns(Array.isArray(contents) ? contents : [contents])) messages.push(...reader.read(content));
  return messages;
}

/** Clients keep a streamed answer as a content for every event of it; of them a model's turn is made again. */
function turns(contents: readonly (JsonValue | undefined)[]): JsonObject[] {
  const joined: JsonObject[] = [];
  for (const content of contents) {
    if (!isObject(content)) throw invalid("Every content has to be an object.");
    const last = joined.at(-1);
    const parts = partsOf(content);
    if (last?.role === "model" && content.role === "model") last.parts = [...partsOf(last), ...parts];
    else joined.push({ role: content.role ?? "", parts });
  }
  return joined;
}

class ContentReader {
  readonly #target: MessageTarget;
  readonly #settings: TranslationSettings;
  #open: OpenCall[] = [];
  #calls = 0;

  constructor(target: MessageTarget, settings: TranslationSettings) {
    this.#target = target;
    this.#settings = settings;
  }

  read(content: JsonObject): JsonObject[] {
    const parts = partsOf(content);
    const role = textOf(content.role);
    if (role === "model") return this.#modelMessages(parts);
    // `function` is the role of results in the API's first version.
    if (role === "" || role === "user" || role === "function") return this.#userMessages(parts);
    throw invalid(`A content has the unknown role '${role}'.`);
  }

  #userMessages(parts: readonly JsonObject[]): JsonObject[] {
    const messages: JsonObject[] = [];
    const rest: JsonObject[] = [];
    for (const part of parts) {
      if (!isObject(part.functionResponse)) {
        rest.push(...contentParts(part, this.#settings));
        continue;
      }
      const result = namedObject(part, "functionResponse");
      messages.push({
        role: "tool",
        tool_call_id: this.#answered(result),
        content: resultText(objectOf(result.response)),
      });
      if (result.parts !== undefined) {
        rest.push(...partsOf(result).flatMap((own) => contentParts(own, this.#settings)));
      }
    }
    if (rest.length > 0) messages.push({ role: "user", content: compact(rest) });
    return messages;
  }

  /** The id of the call that a result answers. */
  #answered(result: JsonObject): string {
    const id = textOf(result.id);
    const name = textOf(result.name);
    const matches = ({ id: own, name: called }: OpenCall) => (id === "" ? called === name : own === id);
    const at = this.#open.findIndex(matches);
    const call = this.#open[at];
    if (call === undefined)
      throw invalid(`A functionResponse answers '${name}', which no functionCall before it called.`);
    this.#open.splice(at, 1);
    return call.id;
  }

  #modelMessages(parts: readonly JsonObject[]): JsonObject[] {
    const baggage = readSignatures(parts, this.#target.provider);
    const calls: JsonObject[] = [];
    let content = "";
    let reasoning = "";
    for (const part of parts) {
      if (part.thought === true) reasoning += textOf(part.text);
      else if (isObject(part.functionCall)) calls.push(this.#call(namedObject(part, "functionCall"), baggage.calls));
      else if (typeof part.text === "string") content += part.text;
      else content += ranCode(part) ?? this.#unsayable(part);
    }
    if (content === "" && calls.length === 0) return [];
    const message: JsonObject = { role: "assistant", content: content === "" ? null : content };
    const { reasoningField } = this.#target;
    if (reasoningField !== undefined && reasoning !== "") message[reasoningField] = reasoning;
    Object.assign(message, baggage.message);
    if (calls.length > 0) message.tool_calls = calls;
    return [message];
  }

  #unsayable(part: JsonObject): string {
    // A signature may stand alone.
    const [name] = Object.keys(part).filter((own) => own !== "thoughtSignature");
    if (name !== undefined) refuse(this.#settings, `a part with '${name}' in a model's turn`);
    return "";
  }

  #call(call: JsonObject, baggage: JsonObject): JsonObject {
    const id = textOf(call.id) || `call_${this.#calls++}`;
    const name = textOf(call.name);
    this.#open.push({ id, name });
    return {
      id,
      type: "function",
      function: { name, arguments: JSON.stringify(call.args ?? {}) },
      ...objectOf(baggage[id]),
    };
  }
}

/** Content as short as it can be said: plain texts as one. */
function compact(parts: JsonObject[]): JsonValue {
  const plain = parts.every(({ type }) => type === "text");
  return plain ? parts.map(({ text }) => textOf(text)).join("\n") : parts;
}

function invalid(message: string): Error {
  return gatewayError(Reason.INVALID_REQUEST, message, { param: "contents" });
}
