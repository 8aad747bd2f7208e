import { ConnectError } from "@connectrpc/connect";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { JsonObject, JsonValue, Provider, ProviderCall } from "./provider.ts";

/** A value that asks for something, and the other members that give it a meaning. */
interface Sample {
  readonly value: JsonValue;
  readonly beside?: JsonObject;
}

const schema = { type: "object", properties: { a: { type: "string" } } };
const functions = [{ name: "f", description: "f", parameters: schema }];
const tools = [{ type: "function", function: { name: "f", description: "f", parameters: schema } }];

/** OpenAI's parameters of a chat completion, https://platform.openai.com/docs/api-reference/chat/create. */
export const chatSamples: Readonly<Record<string, Sample>> = {
  audio: { value: { voice: "alloy", format: "wav" }, beside: { modalities: ["text", "audio"] } },
  frequency_penalty: { value: 0.5 },
  function_call: { value: { name: "f" }, beside: { functions } },
  functions: { value: functions },
  logit_bias: { value: { "100": -100 } },
  logprobs: { value: true },
  max_completion_tokens: { value: 100 },
  max_tokens: { value: 100 },
  metadata: { value: { label: "a" } },
  modalities: { value: ["text", "audio"] },
  n: { value: 2 },
  parallel_tool_calls: { value: false, beside: { tools } },
  prediction: { value: { type: "content", content: "a" } },
  presence_penalty: { value: 0.5 },
  prompt_cache_key: { value: "a" },
  reasoning_effort: { value: "high" },
  response_format: { value: { type: "json_schema", json_schema: { name: "a", schema } } },
  safety_identifier: { value: "a" },
  seed: { value: 1 },
  service_tier: { value: "priority" },
  stop: { value: ["END"] },
  store: { value: true },
  temperature: { value: 0.5 },
  tool_choice: { value: "required", beside: { tools } },
  tools: { value: tools },
  top_logprobs: { value: 2, beside: { logprobs: true } },
  top_p: { value: 0.5 },
  user: { value: "a" },
  verbosity: { value: "low" },
  web_search_options: { value: { search_context_size: "low" } },
};

/** The gateway itself answers to these, whatever the provider. */
const ofGateway = ["stream", "stream_options"];

/**
 * The parameters of a chat completion that a provider takes for a model, sorted: those that it does not refuse and that
 * change the request it is sent. Found by translating a small request with each of them. `call` gives the model, the
 * credential and the like; its body and its parameters do not count.
 *
 * @throws where the provider cannot take a chat completion of the model at all.
 */
export function supportedParams(provider: Provider, call: ProviderCall): string[] {
  const names = Object.entries(chatSamples);
  if (provider.relays || provider.respondLocally?.(probe(call, {})) !== undefined)
    return sorted(names.map(([name]) => name));
  provider.begin(probe(call, {}));
  const taken = names.filter(([name, { value, beside = {} }]) => {
    const without = tryBody(provider, probe(call, beside));
    const having = tryBody(provider, probe(call, { ...beside, [name]: value }));
    return without !== undefined && having !== undefined && Buffer.compare(without, having) !== 0;
  });
  return sorted(taken.map(([name]) => name));
}

function sorted(names: readonly string[]): string[] {
  return [...names, ...ofGateway].sort();
}

/** A small chat completion with some members more. */
export function probe(call: ProviderCall, members: JsonObject): ProviderCall {
  const chat = { model: call.model, messages: [{ role: "user", content: "a" }], ...members };
  return {
    ...call,
    operation: Operation.CHAT_COMPLETIONS,
    stream: false,
    contentType: "application/json",
    body: Buffer.from(JSON.stringify(chat)),
    defaultParams: {},
    outputTokenCap: undefined,
    dropParams: false,
  };
}

/** The upstream body; undefined where the provider refuses the request. */
function tryBody(provider: Provider, call: ProviderCall): Uint8Array | undefined {
  try {
    return provider.begin(call).request.body;
  } catch (error) {
    if (error instanceof ConnectError) return undefined;
    throw error;
  }
}
