import { editJson } from "#chassis/json-members.ts";
import type { Exchange, JsonObject, JsonValue, ProviderCall } from "../../provider.ts";
import { decodeText, isObject, parseObject, textOf, without } from "../../translate/json-reading.ts";
import { namedEvent } from "../../translate/sse-event.ts";
import { anthropic } from "../anthropic/anthropic.ts";
import { invokeBetas } from "./anthropic-betas.ts";
import type { BedrockModel } from "./bedrock-model.ts";
import { readChunk } from "./event-frames.ts";
import { headerMembers, invokeHeaders, upstreamRequest } from "./upstream-request.ts";

/** Never spoken to: the request is sent to Bedrock's address. */
const placeholder = "https://anthropic.invalid";

/** Members of a Messages body that Bedrock refuses: they stand elsewhere, or change no answer. */
const left = ["model", "stream", "inference_geo", "diagnostics", ...headerMembers];

/** The body of a Claude model at Bedrock, and the parameters that go into headers. */
interface ClaudeBody {
  readonly body: Uint8Array;
  readonly params: JsonObject;
}

/**
 * A call to a Claude model over Invoke: Anthropic's own exchange, with the model in the address, the API's version and the
 * betas in the body. https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages.html
 */
export function createClaudeExchange(call: ProviderCall, model: BedrockModel): Exchange {
  const inner = anthropic.begin({ ...call, model: model.id, credential: undefined, baseUrl: placeholder });
  const { body, params } = claudeBody(inner.request.body, inner.request.headers["anthropic-beta"], model);
  return {
    request: upstreamRequest(call, model, "invoke", body, invokeHeaders(params)),
    framing: "aws-eventstream",
    get progress() {
      return inner.progress ?? "open";
    },
    decodeBody: (answer) => inner.decodeBody(answer),
    decodeEvents: (frames) => inner.decodeEvents(frames.flatMap(sseOf)),
    finish: () => inner.finish(),
    outcome: () => inner.outcome(),
  };
}

/** A Messages body in Bedrock's form. `betas` is the header `anthropic-beta`. */
export function claudeBody(messages: Uint8Array, betas: string | undefined, model: BedrockModel): ClaudeBody {
  const params = parseObject(decodeText(messages)) ?? {};
  const taken = invokeBetas(params, betas, model);
  const beta: Record<string, string> = taken.length === 0 ? {} : { anthropic_beta: JSON.stringify(taken) };
  return {
    params,
    body: editJson(messages, {
      remove: [...left, "anthropic_beta"],
      set: { ...beta, ...unscoped(messages, params) },
      setIfAbsent: { anthropic_version: '"bedrock-2023-05-31"' },
    }),
  };
}

/**
 * The members that hold a cache mark with a `scope`, without it: Claude Code sends one, Bedrock refuses it, and it changes
 * no answer. https://platform.claude.com/docs/en/build-with-claude/prompt-caching
 */
function unscoped(messages: Uint8Array, params: JsonObject): Record<string, string> {
  if (!decodeText(messages).includes('"scope"')) return {};
  const members = ["system", "tools", "messages"].filter((name) => params[name] !== undefined);
  return Object.fromEntries(members.map((name) => [name, JSON.stringify(params[name], withoutScope)]));
}

function withoutScope(name: string, value: JsonValue): JsonValue {
  return name === "cache_control" && isObject(value) ? without(value, "scope") : value;
}

/** Anthropic's event, framed as Anthropic frames it. */
function sseOf(frame: Uint8Array): Uint8Array[] {
  const text = readChunk(frame);
  if (text === undefined) return [];
  const type = /^\{"type":\s*"(\w+)"/.exec(text)?.[1] ?? textOf(parseObject(text)?.type);
  return [namedEvent(type, text)];
}
