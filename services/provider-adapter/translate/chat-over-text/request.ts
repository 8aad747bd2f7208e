import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { JsonObject, JsonValue } from "../../provider.ts";
import { decodeText, listOf, numberOf, parseObject, without } from "../json-reading.ts";
import { beyondText } from "../neutral-values.ts";
import { refuseOrDrop, type TranslationSettings } from "../unsupported-parameter.ts";
import { type Turn, turnsOf } from "./prompt.ts";

/** A chat for a model that continues texts. */
export interface TextRequest {
  readonly turns: readonly Turn[];
  /** Undefined leaves the limit to the model. */
  readonly maxTokens: number | undefined;
  readonly temperature: JsonValue | undefined;
  readonly topP: JsonValue | undefined;
  readonly stop: JsonValue[] | undefined;
  /** What has no word in OpenAI's dialect, or was allowed by name: it passes. */
  readonly passed: JsonObject;
}

/** Parameters that are translated here, and hints that change no answer. */
const consumed = [
  "max_completion_tokens",
  "max_tokens",
  "messages",
  "metadata",
  "model",
  "prompt_cache_key",
  "prompt_cache_retention",
  "safety_identifier",
  "stop",
  "stream",
  "stream_options",
  "temperature",
  "top_p",
  "user",
];

/** The parsed body of a chat, with the deployment's parameters where the client set none. */
export function chatOf({ body, defaultParams }: TranslationSettings & { readonly body: Uint8Array }): JsonObject {
  const chat = parseObject(decodeText(body));
  if (chat === undefined) throw gatewayError(Reason.INVALID_REQUEST, "The body has to be a JSON object.");
  return { ...defaultParams, ...chat };
}

/** Reads a chat. `own` are names of further parameters that the model knows and whose values pass. */
export function textRequest(
  chat: JsonObject,
  settings: TranslationSettings,
  provider: string,
  own: readonly string[] = [],
): TextRequest {
  const refused = new Set<string>();
  for (const [name, isNeutral] of Object.entries(beyondText)) {
    const value = chat[name];
    if (own.includes(name) || settings.allowedParams.includes(name)) continue;
    refused.add(name);
    if (value === undefined || value === null || isNeutral(value)) continue;
    refuseOrDrop(settings, name, `This model of ${provider} does not support the parameter '${name}'.`);
  }
  const asked = numberOf(chat.max_completion_tokens) || numberOf(chat.max_tokens) || undefined;
  const cap = settings.outputTokenCap;
  return {
    turns: turnsOf(chat.messages),
    maxTokens: asked === undefined || cap === undefined ? (asked ?? cap) : Math.min(asked, cap),
    temperature: chat.temperature ?? undefined,
    topP: chat.top_p ?? undefined,
    stop: typeof chat.stop === "string" ? [chat.stop] : isList(chat.stop),
    passed: withoutNulls(without(chat, ...consumed, ...refused)),
  };
}

function isList(value: JsonValue | undefined): JsonValue[] | undefined {
  const items = listOf(value);
  return items.length > 0 ? items : undefined;
}

function withoutNulls(object: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== null));
}

/** An object without the members that are undefined. */
export function defined(members: Readonly<Record<string, JsonValue | undefined>>): JsonObject {
  const object: JsonObject = {};
  for (const [name, value] of Object.entries(members)) if (value !== undefined) object[name] = value;
  return object;
}
