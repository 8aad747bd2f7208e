import { upstreamError } from "#chassis/errors.ts";
import type { JsonObject, JsonValue } from "../provider.ts";
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
  return (isObject(answer) ? toldError(provider, answer) : undefined) ?? protocolError(provider, missing);
}

/** The error that an object tells in place of an answer, as its `error` or in a list of `errors`. */
export function toldError(provider: string, answer: JsonObject): Error | undefined {
  const isError = (answer.error ?? null) !== null || Array.isArray(answer.errors);
  return isError ? upstreamError(errorInAnswer(provider, answer)) : undefined;
}
