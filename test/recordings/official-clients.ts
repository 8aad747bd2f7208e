import Anthropic, { APIError as AnthropicError } from "@anthropic-ai/sdk";
import OpenAI, { APIError as OpenAiError } from "openai";
import type { JsonObject, JsonValue } from "../../services/provider-adapter/provider.ts";
import {
  objectOf,
  objectsOf,
  parseObject,
  textOf,
  without,
} from "../../services/provider-adapter/translate/json-reading.ts";
import { isErrorEvent, messageIn, parsed } from "./answer-check.ts";
import { compareWithMessage, readCompletion } from "./chat-answer.ts";
import { differenceOf } from "./difference.ts";
import { type ExchangePlan, isStream, planExchange, statusOf } from "./exchange-plan.ts";
import { readMessage } from "./recorded-message.ts";
import { isGenerateContent } from "./recorded-upstream.ts";
import type { Recording, ReplayResult } from "./recording.ts";
import { scriptAnswer } from "./replay-exchanges.ts";
import type { ReplayStage } from "./replay-stage.ts";
import { readSse, type SseEvent } from "./sse-reading.ts";

/** How many exchanges of a kind are taken: of one provider and endpoint, streamed or not, answered or refused. */
const sampleSize = 5;

/** Lets the official clients of OpenAI and Anthropic make some of the recorded calls, and compares what they hand out. */
export async function replayOfficialClients(
  stage: ReplayStage,
  recordings: readonly Recording[],
): Promise<ReplayResult> {
  const options = { apiKey: stage.masterKey, maxRetries: 0, timeout: 30_000 };
  const clients: Clients = {
    openai: new OpenAI({ ...options, baseURL: `${stage.url}/v1` }),
    anthropic: new Anthropic({ ...options, baseURL: stage.url }),
  };
  const sample = samplePlans(recordings);
  const failures: string[] = [];
  for (const plan of sample) {
    const [delivery] = plan.deliveries.values();
    if (delivery === undefined) continue;
    scriptAnswer(stage, plan.recording, delivery);
    const fault = await clientFault(clients, plan);
    if (fault !== undefined) failures.push(`${plan.recording.id} ${plan.endpoint}: ${fault}`);
  }
  return { name: "official clients", ran: sample.length, failures };
}

interface Clients {
  readonly openai: OpenAI;
  readonly anthropic: Anthropic;
}

function samplePlans(recordings: readonly Recording[]): ExchangePlan[] {
  const kinds = new Map<string, ExchangePlan[]>();
  for (const recording of recordings) {
    const plans = planExchange(recording);
    if ("skipped" in plans) continue;
    for (const plan of plans) {
      if (plan.endpoint === "rerank" || plan.endpoint === "count_tokens" || isGenerateContent(plan.endpoint)) continue;
      const kind = [recording.provider, plan.endpoint, isStream(recording), statusOf(recording) >= 400].join();
      kinds.set(kind, [...(kinds.get(kind) ?? []), plan]);
    }
  }
  return [...kinds.values()].flatMap((plans) => {
    const step = Math.max(1, Math.floor(plans.length / sampleSize));
    return plans.filter((_, at) => at % step === 0).slice(0, sampleSize);
  });
}

/** What is wrong with what the client hands out or throws; undefined where nothing is. */
async function clientFault(clients: Clients, plan: ExchangePlan): Promise<string | undefined> {
  const { recording } = plan;
  const events = isStream(recording) ? readSse(textOf(recording.response.body)) : [];
  const failure =
    statusOf(recording) >= 400 ? parsed(textOf(recording.response.body)) : events.find(isErrorEvent)?.data;
  try {
    const handedOut = await callWith(clients, plan);
    if (failure !== undefined) return "the client threw nothing";
    if (plan.translated) return translationFault(handedOut, recording);
    const recorded = isStream(recording) ? dataOf(events) : [wholeAnswer(recording)];
    return differenceOf(handedOut.map(withoutOpenEnds), recorded.map(withoutOpenEnds), "handed out");
  } catch (error) {
    const expected = failure !== undefined && (error instanceof OpenAiError || error instanceof AnthropicError);
    return expected && error.message.includes(messageIn(failure)) ? undefined : `the client threw ${error}`;
  }
}

/** Everything that a client hands out for a call: the answer, or one event after the other. */
async function callWith({ openai, anthropic }: Clients, plan: ExchangePlan): Promise<JsonValue[]> {
  const { endpoint, headers } = plan;
  const text = JSON.stringify(plan.body);
  switch (endpoint) {
    case "chat.completions": {
      const params: OpenAI.ChatCompletionCreateParams = JSON.parse(text);
      if (!plan.translated || params.stream !== true) return listed(openai.chat.completions.create(params));
      return [asJson(await openai.chat.completions.stream(params).finalChatCompletion())];
    }
    case "completions": {
      const params: OpenAI.CompletionCreateParams = JSON.parse(text);
      return listed(openai.completions.create(params));
    }
    case "responses": {
      const params: OpenAI.Responses.ResponseCreateParams = JSON.parse(text);
      return listed(openai.responses.create(params));
    }
    case "embeddings": {
      const params: OpenAI.EmbeddingCreateParams = JSON.parse(text);
      // Left to itself the client asks for base64, and unpacks it.
      return listed(openai.embeddings.create({ ...params, encoding_format: params.encoding_format ?? "float" }));
    }
    default: {
      const params: Anthropic.MessageCreateParams = JSON.parse(text);
      return listed(anthropic.messages.create(params, { headers }));
    }
  }
}

async function listed(result: Promise<unknown>): Promise<JsonValue[]> {
  const value = await result;
  if (!isIterable(value)) return [without(objectOf(asJson(value)), "output_text")];
  const events: JsonValue[] = [];
  for await (const event of value) events.push(asJson(event));
  return events;
}

function isIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === "object" && value !== null && Symbol.asyncIterator in value;
}

function asJson(value: unknown): JsonValue {
  return JSON.parse(JSON.stringify(value));
}

/** The client of OpenAI adds the joined texts of a response, under a name that OpenAI does not use. */
function wholeAnswer({ response }: Recording): JsonObject {
  return without(objectOf(parseObject(textOf(response.body))), "output_text");
}

/** A choice that goes on: the client of OpenAI writes null where its provider wrote nothing. */
function withoutOpenEnds(value: JsonValue): JsonValue {
  const { choices, ...rest } = objectOf(value);
  if (!Array.isArray(choices)) return value;
  const closed = objectsOf(choices).map((choice) =>
    choice.finish_reason === null ? without(choice, "finish_reason") : choice,
  );
  return { ...rest, choices: closed };
}

/** Clients keep the closing mark and pings to themselves. */
function dataOf(events: readonly SseEvent[]): JsonValue[] {
  return events.filter(({ data, name }) => data !== "[DONE]" && name !== "ping").map(({ data }) => data);
}

/** The client does not know reasoning. */
function translationFault(handedOut: readonly JsonValue[], recording: Recording): string | undefined {
  const [completion] = handedOut;
  const message = readMessage(recording);
  try {
    compareWithMessage({ ...readCompletion(objectOf(completion)), reasoning: message.thinking }, message);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
