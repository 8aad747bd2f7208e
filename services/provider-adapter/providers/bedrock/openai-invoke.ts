import { ownOpenAiRow } from "#catalog/catalog.ts";
import { editJson } from "#chassis/json-members.ts";
import type { Exchange, JsonObject, ProviderCall } from "../../provider.ts";
import {
  countOf,
  decodeText,
  isObject,
  objectOf,
  objectsOf,
  parseObject,
  textOf,
  without,
} from "../../translate/json-reading.ts";
import { dataEvent } from "../../translate/sse-event.ts";
import { createOpenAiExchange } from "../openai-compatible/exchange.ts";
import type { BedrockModel } from "./bedrock-model.ts";
import { providerId } from "./classify-error.ts";
import { readChunk } from "./event-frames.ts";
import { headerMembers, invokeHeaders, upstreamRequest } from "./upstream-request.ts";

/** Never spoken to: the request is sent to Bedrock's address. */
const placeholder = "https://openai.invalid";

const row = ownOpenAiRow({
  id: providerId,
  base_url: placeholder,
  needs_key: false,
  paths: { chat_completions: "chat/completions" },
  stream_usage: "option",
});

/** What stands in the address: the model, and whether the answer is a stream. */
const left = ["model", "stream", "stream_options", ...headerMembers];
const metricsMember = "amazon-bedrock-invocationMetrics";

/**
 * A chat completion over Invoke of a model that speaks OpenAI's format there: gpt-oss, the later Mistral models, AI21's,
 * and imported ones. https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-openai.html
 */
export function createOpenAiInvokeExchange(call: ProviderCall, model: BedrockModel): Exchange {
  const { authorization: _, ...headers } = call.headers;
  const inner = createOpenAiExchange(row, {
    ...call,
    headers,
    model: model.id,
    baseUrl: placeholder,
    credential: undefined,
  });
  const params = parseObject(decodeText(inner.request.body)) ?? {};
  const body = editJson(inner.request.body, { remove: left });
  return {
    request: upstreamRequest(call, model, "invoke", body, invokeHeaders(params)),
    framing: "aws-eventstream",
    get progress() {
      return inner.progress ?? "open";
    },
    decodeBody: (answer) => inner.decodeBody(withReasoning(answer)),
    decodeEvents: (frames) => inner.decodeEvents(frames.flatMap(sseOf)),
    finish: () => inner.finish(),
    outcome: () => inner.outcome(),
  };
}

/** A chunk as OpenAI frames it. The last one carries Bedrock's counts, which become the usage. */
function sseOf(frame: Uint8Array): Uint8Array[] {
  const text = readChunk(frame);
  if (text === undefined) return [];
  if (!text.includes(metricsMember) && !text.includes("<reasoning>")) return [dataEvent(text)];
  const chunk = parseObject(text);
  if (chunk === undefined) return [dataEvent(text)];
  const { [metricsMember]: metrics, ...rest } = chunk;
  const choices = objectsOf(rest.choices).map((choice) => ({ ...choice, delta: split(objectOf(choice.delta)) }));
  const told = { ...rest, choices };
  const usage = usageOf(objectOf(metrics));
  if (usage === undefined || isObject(rest.usage)) return [dataEvent(JSON.stringify(told))];
  return [told, { ...rest, choices: [], usage }].map((event) => dataEvent(JSON.stringify(event)));
}

function usageOf(metrics: JsonObject): JsonObject | undefined {
  const input = countOf(metrics.inputTokenCount);
  const output = countOf(metrics.outputTokenCount);
  if (input === undefined || output === undefined) return undefined;
  return { prompt_tokens: input, completion_tokens: output, total_tokens: input + output };
}

/** Reasoning stands in the content, between marks, in front of the answer. */
function split(message: JsonObject): JsonObject {
  const [all, reasoning] = /^<reasoning>([\s\S]*?)<\/reasoning>/.exec(textOf(message.content)) ?? [];
  if (all === undefined || reasoning === undefined) return message;
  const content = textOf(message.content).slice(all.length);
  const rest = content === "" ? without(message, "content") : { ...message, content };
  return { ...rest, reasoning_content: reasoning };
}

function withReasoning(body: Uint8Array): Uint8Array {
  if (!decodeText(body).includes("<reasoning>")) return body;
  const answer = parseObject(decodeText(body));
  if (answer === undefined) return body;
  const choices = objectsOf(answer.choices).map((choice) => ({
    ...choice,
    message: { content: null, ...split(objectOf(choice.message)) },
  }));
  return Buffer.from(JSON.stringify({ ...answer, choices }));
}
