import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { JsonObject, JsonValue, ProviderCall } from "../../provider.ts";
import { decodeText, isObject, numberOf, objectsOf, parseObject, textOf } from "../json-reading.ts";
import { beyondText, type IsNeutral, withoutCounterpart } from "../neutral-values.ts";
import { refuseOrDrop } from "../unsupported-parameter.ts";
import { renderTurns, type Turn, templateOf, templateParams } from "./template.ts";

/** A call of a model that only continues texts. */
export interface PromptRequest {
  /** Everything said so far, in the form that the model wants. */
  readonly prompt: string;
  /** The conversation; empty where the client gave a prompt. */
  readonly turns: readonly Turn[];
  /** The most tokens of the answer; undefined where nobody limits it. */
  readonly limit: number | undefined;
  readonly stop: readonly string[];
  /** The other parameters, under the provider's names. */
  readonly params: JsonObject;
}

/** OpenAI's parameters that a text model may lack, each with the values that ask for nothing. */
const openAiParams: Readonly<Record<string, IsNeutral>> = {
  ...beyondText,
  ...withoutCounterpart("suffix", "temperature", "top_p"),
  best_of: (value) => value === 1,
  echo: (value) => value === false,
};

/** What is read elsewhere, and hints that change no answer. */
const consumed: ReadonlySet<string> = new Set([
  "max_completion_tokens",
  "max_tokens",
  "messages",
  "metadata",
  "model",
  "prompt",
  "prompt_cache_key",
  "prompt_cache_retention",
  "safety_identifier",
  "service_tier",
  "stop",
  "stream",
  "stream_options",
  "user",
  ...templateParams,
]);

/**
 * Reads a chat or a legacy completion for a model that only continues texts. `names`: OpenAI's parameters that the
 * provider knows, and its names for them; what OpenAI does not know passes as it is. Throws a GatewayError where the
 * provider cannot do what is asked.
 */
export function readPromptRequest(
  call: ProviderCall,
  provider: string,
  names: Readonly<Record<string, string>>,
): PromptRequest {
  const client = parseObject(decodeText(call.body));
  if (client === undefined) throw gatewayError(Reason.INVALID_REQUEST, "The body has to be a JSON object.");
  const asked: JsonObject = { ...call.defaultParams, ...client };
  const turns = call.operation === Operation.COMPLETIONS ? [] : turnsOf(asked.messages, provider);
  return {
    prompt: turns.length > 0 ? renderTurns(turns, templateOf(call.model, asked)) : promptOf(asked.prompt, provider),
    turns,
    limit: limitOf(asked, call.outputTokenCap),
    stop: (Array.isArray(asked.stop) ? asked.stop : [asked.stop]).filter((text) => typeof text === "string"),
    params: paramsOf(asked, call, provider, names),
  };
}

function limitOf(asked: JsonObject, cap: number | undefined): number | undefined {
  const limit = numberOf(asked.max_completion_tokens) || numberOf(asked.max_tokens);
  if (limit <= 0) return cap;
  return Math.min(limit, cap ?? limit);
}

function paramsOf(
  asked: JsonObject,
  call: ProviderCall,
  provider: string,
  names: Readonly<Record<string, string>>,
): JsonObject {
  const params: JsonObject = {};
  for (const [name, value] of Object.entries(asked)) {
    if (consumed.has(name) || value === null) continue;
    const renamed = Object.hasOwn(names, name) ? names[name] : undefined;
    const isNeutral = Object.hasOwn(openAiParams, name) ? openAiParams[name] : undefined;
    if (renamed !== undefined) params[renamed] = value;
    else if (isNeutral === undefined || call.allowedParams.includes(name)) params[name] = value;
    else if (!isNeutral(value)) {
      refuseOrDrop(call, name, `${provider} does not support the parameter '${name}' with this value.`);
    }
  }
  return params;
}

function promptOf(prompt: JsonValue | undefined, provider: string): string {
  const only = Array.isArray(prompt) && prompt.length === 1 ? prompt[0] : prompt;
  if (typeof only === "string") return only;
  throw gatewayError(Reason.INVALID_REQUEST, `'prompt' has to be one text for ${provider}.`, { param: "prompt" });
}

function turnsOf(messages: JsonValue | undefined, provider: string): Turn[] {
  const turns = objectsOf(messages).map((message) => turnOf(message, provider));
  if (turns.length > 0) return turns;
  throw gatewayError(Reason.INVALID_REQUEST, "'messages' has to be an array of messages.", { param: "messages" });
}

function turnOf(message: JsonObject, provider: string): Turn {
  const text = contentText(message.content, provider);
  switch (message.role) {
    case "system":
    case "developer":
      return { role: "system", text };
    case "user":
    case "assistant":
      return { role: message.role, text };
    default:
      throw refusedMessage(`${provider} takes no message of the role '${textOf(message.role)}'.`);
  }
}

function contentText(content: JsonValue | undefined, provider: string): string {
  if (!Array.isArray(content)) return textOf(content);
  return content
    .map((part) => {
      if (typeof part === "string") return part;
      if (isObject(part) && part.type === "text") return textOf(part.text);
      throw refusedMessage(`${provider} takes texts in a message, and nothing else.`);
    })
    .join("\n");
}

function refusedMessage(message: string): Error {
  return gatewayError(Reason.INVALID_REQUEST, message, { param: "messages" });
}
