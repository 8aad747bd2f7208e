import { upstreamError } from "#chassis/errors.ts";
import type { JsonValue } from "../provider.ts";
import { decodeText, isObject } from "../translate/json-reading.ts";
import { protocolError } from "./openai-compatible/answer.ts";
import { errorInAnswer } from "./openai-compatible/errors.ts";

/** A whole answer of a provider, whatever JSON it is. Throws the error of `upstreamError` where it is none. */
export function parseAnswer(provider: string, body: Uint8Array): JsonValue {
  try {
    return JSON.parse(decodeText(body));
  } catch {
    throw protocolError(provider, "the answer is no JSON");
  }
}

/** The error for an answer that lacks what was asked for: its own, where it tells one. */
export function incompleteAnswer(provider: string, answer: JsonValue, missing: string): Error {
  if (isObject(answer) && answer.error !== undefined && answer.error !== null) {
    return upstreamError(errorInAnswer(provider, answer));
  }
  return protocolError(provider, missing);
}
