import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange, JsonObject } from "../../services/provider-adapter/provider.ts";
import { bedrock } from "../../services/provider-adapter/providers/bedrock/bedrock.ts";
import {
  isObject,
  listOf,
  numberOf,
  objectOf,
  objectsOf,
  parseObject,
  textOf,
  without,
} from "../../services/provider-adapter/translate/json-reading.ts";
import { providerCall } from "../../services/provider-adapter/translate/testing/provider-call.ts";
import { readChunks, readCompletion } from "./chat-answer.ts";
import { differenceOf } from "./difference.ts";
import { bytesOf, decode, headersOf, isStream } from "./recorded-bedrock.ts";
import { readInvoke } from "./recorded-invoke.ts";
import { type Recording, type ReplayResult, readRecordings, replay } from "./recording.ts";
import { readSse } from "./sse-reading.ts";

const request: JsonObject = { messages: [{ role: "user", content: "?" }], stream_options: { include_usage: true } };
const whole = Number.POSITIVE_INFINITY;

/** Replays what was recorded of Bedrock's Invoke, of its ranks and of its token counts through the provider alone. */
export function replayBedrockInvoke(folder: string): ReplayResult[] {
  const recordings = readRecordings(folder, "bedrock");
  const exchanges = recordings.filter(({ endpoint }) => endpoint.startsWith("bedrock.invoke"));
  const answers = exchanges.filter(({ response }) => response.status === 200);
  const isEmbedding = (recording: Recording) => /embed/.test(modelOf(recording));
  const chats = answers.filter((recording) => !isEmbedding(recording));
  const failed = exchanges.filter(({ response }) => numberOf(response.status) >= 400);
  return [
    replay("invoke, chat answer", chats, (recording) => {
      for (const size of isStream(recording) ? [whole, 1, 7, 1000] : [whole]) checkChat(recording, size);
    }),
    replay("invoke, messages passed through", chats.filter(isMessages), checkMessages),
    replay("invoke, embeddings", answers.filter(isEmbedding), checkEmbeddings),
    replay("invoke, error", failed, checkError),
    replay(
      "rerank",
      recordings.filter(({ endpoint }) => endpoint === "rerank"),
      checkRanks,
    ),
  ];
}

/** Claude in Anthropic's own words. */
function isMessages(recording: Recording): boolean {
  return textOf(bodyOf(recording).anthropic_version) !== "";
}

function bodyOf(recording: Recording): JsonObject {
  return parseObject(textOf(recording.request.body)) ?? {};
}

function modelOf({ request: sent }: Recording): string {
  return decodeURIComponent(/\/model\/([^/]+)\//.exec(textOf(sent.url))?.[1] ?? "");
}

function begin(
  recording: Recording,
  operation: Operation,
  body: JsonObject,
  model = `invoke/${modelOf(recording)}`,
): Exchange {
  return bedrock.begin(providerCall(body, { operation, model, stream: isStream(recording) }));
}

function checkChat(recording: Recording, size: number): void {
  const recorded = readInvoke(recording, bytesOf(recording));
  const exchange = begin(recording, Operation.CHAT_COMPLETIONS, request);
  const text = decode(recording, exchange, size);
  const answer = isStream(recording) ? readChunks(readSse(text)) : readCompletion(objectOf(parseObject(text)));
  strictEqual(answer.text, recorded.text);
  deepStrictEqual(answer.tools, recorded.tools);
  strictEqual(numberOf(answer.usage.completion_tokens), recorded.outputTokens);
  const { usage, finishReason } = exchange.outcome();
  deepStrictEqual([Number(usage.outputTokens), usage.estimated], [recorded.outputTokens, false]);
  strictEqual(answer.finishReason, finishReason);
  if (finishReason !== "length") strictEqual(finishReason === "tool_calls", recorded.tools.length > 0);
}

/** The recorded body is what a client sent, so it has to go out as it is, and the answer has to come back as it is. */
function checkMessages(recording: Recording): void {
  const sent = bodyOf(recording);
  const body = without(sent, "anthropic_version");
  const exchange = begin(recording, Operation.MESSAGES, { ...body, model: "group" }, modelOf(recording));
  strictEqual(differenceOf(parseObject(Buffer.from(exchange.request.body).toString()), sent), undefined);
  const { events } = readInvoke(recording, bytesOf(recording));
  for (const size of [whole, 1, 7]) {
    const again = begin(recording, Operation.MESSAGES, { ...body, model: "group" }, modelOf(recording));
    const text = decode(recording, again, size);
    const told = isStream(recording) ? readSse(text).map(({ data }) => data) : [parseObject(text) ?? {}];
    strictEqual(differenceOf(told, [...events]), undefined);
  }
}

function checkEmbeddings(recording: Recording): void {
  const { inputText, texts, ...rest } = bodyOf(recording);
  const asked = { ...without(rest, "embedding_types"), input: texts ?? inputText ?? "" };
  const exchange = begin(recording, Operation.EMBEDDINGS, asked);
  strictEqual(differenceOf(parseObject(Buffer.from(exchange.request.body).toString()), bodyOf(recording)), undefined);
  const answer = objectOf(parseObject(decode(recording, exchange, whole)));
  const recorded = objectOf(parseObject(textOf(recording.response.body)));
  const vectors = isObject(listOf(recorded.data)[0])
    ? objectsOf(recorded.data).map(({ embedding }) => embedding ?? [])
    : [recorded.embedding ?? []];
  deepStrictEqual(
    objectsOf(answer.data).map(({ embedding }) => embedding),
    vectors,
  );
}

function checkError(recording: Recording): void {
  const status = numberOf(recording.response.status);
  const error = bedrock.classifyError(status, headersOf(recording), bytesOf(recording));
  deepStrictEqual([error.httpStatus, error.retryable], [status, false]);
  strictEqual(error.message, textOf(parseObject(textOf(recording.response.body))?.message));
}

function checkRanks(recording: Recording): void {
  const documents = Array.from({ length: 6 }, (_, index) => `document ${index}`);
  const exchange = begin(recording, Operation.RERANK, { query: "?", documents }, "cohere.rerank-v3-5:0");
  const { results } = objectOf(parseObject(decode(recording, exchange, whole)));
  const recorded = objectsOf(parseObject(textOf(recording.response.body))?.results);
  deepStrictEqual(
    results,
    recorded.map(({ index, relevanceScore }) => ({ index, relevance_score: relevanceScore })),
  );
}
