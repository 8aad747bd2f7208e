import type { JsonObject } from "../provider.ts";
import { isObject, objectOf, objectsOf, parseObject, textOf } from "./json-reading.ts";

/** 15 bytes: their base64 is the same whatever follows, in the alphabet for addresses too. */
const mark = "sluice/baggage:";

/** How the signatures begin that this gateway makes. No other provider can do anything with them. */
export const ownSignatureStart = Buffer.from(mark).toString("base64");

/**
 * What an answer holds that a provider wants back and that Google's dialect has no word for. It travels as the opaque
 * `thoughtSignature` of a part, which clients send back as they got it:
 * https://ai.google.dev/gemini-api/docs/thought-signatures
 */
export interface AnswerBaggage {
  /** Whose it is: what one provider signed, another one refuses. */
  readonly provider: string;
  /** Members of the assistant's chat message. */
  readonly message: JsonObject;
  /** Members of its tool calls, by the call's id. */
  readonly calls: JsonObject;
}

/** The signature that holds an answer's baggage; undefined where there is none. */
export function writeSignature(baggage: AnswerBaggage): string | undefined {
  const { message, calls } = baggage;
  if (Object.keys(message).length === 0 && Object.keys(calls).length === 0) return undefined;
  return Buffer.from(`${mark}${JSON.stringify(baggage)}`).toString("base64");
}

/** The baggage of the parts of a model's turn, as far as it is this provider's. The parts' names are in camelCase. */
export function readSignatures(parts: readonly JsonObject[], provider: string): AnswerBaggage {
  let message: JsonObject = {};
  let calls: JsonObject = {};
  for (const { thoughtSignature } of parts) {
    const signature = textOf(thoughtSignature);
    if (!signature.startsWith(ownSignatureStart)) continue;
    const read = parseObject(Buffer.from(signature, "base64").toString().slice(mark.length));
    if (read?.provider !== provider) continue;
    message = { ...message, ...objectOf(read.message) };
    calls = { ...calls, ...objectOf(read.calls) };
  }
  return { provider, message: knownMembers(message, messageMembers), calls: knownCalls(calls) };
}

/** Members of an assistant's message that its provider wants back. */
const messageMembers = ["thinking_blocks", "provider_specific_fields", "reasoning_content", "reasoning"];
/** Members of a tool call, the signatures of Gemini's own calls as chat completions tell them among them. */
const callMembers = ["extra_content", "provider_specific_fields"];

/** What of a chat message or delta is baggage. */
export function messageBaggage(message: JsonObject): JsonObject {
  const blocks = objectsOf(objectOf(message.provider_specific_fields).content_blocks);
  return {
    ...knownMembers(message, ["thinking_blocks"]),
    ...(blocks.length === 0 ? {} : { provider_specific_fields: { content_blocks: blocks } }),
  };
}

/** What of a tool call is baggage. */
export function callBaggage(call: JsonObject): JsonObject {
  return knownMembers(call, callMembers);
}

function knownCalls(calls: JsonObject): JsonObject {
  const entries = Object.entries(calls).flatMap(([id, call]) =>
    isObject(call) ? [[id, knownMembers(call, callMembers)] as const] : [],
  );
  return Object.fromEntries(entries);
}

function knownMembers(object: JsonObject, names: readonly string[]): JsonObject {
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = object[name];
      return value === undefined || value === null ? [] : [[name, value] as const];
    }),
  );
}
