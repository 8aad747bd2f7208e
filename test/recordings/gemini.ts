import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { Secret } from "#chassis/secret.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type {
  Exchange,
  JsonObject,
  JsonValue,
  Provider,
  ProviderCall,
} from "../../services/provider-adapter/provider.ts";
import { gemini } from "../../services/provider-adapter/providers/gemini/gemini.ts";
import { vertexAi } from "../../services/provider-adapter/providers/vertex-ai/vertex-ai.ts";
import {
  isObject,
  listOf,
  numberOf,
  objectOf,
  objectsOf,
  parseObject,
  textOf,
} from "../../services/provider-adapter/translate/json-reading.ts";
import { type ChatAnswer, readChunks, readCompletion } from "./chat-answer.ts";
import { replayClaudeOnVertex } from "./claude-on-vertex.ts";
import { hasPartialCalls, type RecordedCandidate, readCandidate, readResponses } from "./recorded-candidates.ts";
import { type Recording, type ReplayResult, readRecordings, recordingsFolder, replay } from "./recording.ts";
import { readSse } from "./sse-reading.ts";

/**
 * Replays recorded traffic of AI Studio and Vertex AI through their providers, without a network: answered to a chat
 * completion client, as a stream and whole, and the answer sent back as a message of the next request. What the
 * recordings hold is read here by code of its own, so that a provider is compared with the recording and not with itself.
 * Run it: `node test/recordings/gemini.ts [folder]`.
 */
export function replayGemini(folder: string = recordingsFolder): ReplayResult[] {
  return [
    ...replayHost(folder, "gemini", gemini),
    ...replayHost(folder, "vertex", vertexAi),
    replayClaudeOnVertex(readRecordings(folder, "vertex")),
  ];
}

function replayHost(folder: string, file: string, provider: Provider): ReplayResult[] {
  const all = readRecordings(folder, file);
  const content = all.filter(({ endpoint }) => /^gemini\.(?:g|streamG)enerateContent$/.test(endpoint));
  const answers = content.filter(isAnswer);
  const failed = all.filter(
    ({ response, endpoint }) => numberOf(response.status) >= 400 && endpoint !== "vertex.rawPredict",
  );
  const embedded = all.filter((recording) => isAnswer(recording) && embeddingsOf(recording).length > 0);
  return [
    replay(`${file} chat answer`, answers, (recording) => checkAnswer(provider, recording)),
    replay(`${file} round trip`, answers, (recording) => checkRoundTrip(provider, recording)),
    replay(`${file} error`, failed, (recording) => checkError(provider, recording)),
    replay(`${file} embeddings`, embedded, (recording) => checkEmbeddings(provider, recording)),
  ];
}

const isAnswer = ({ response }: Recording) => response.status === 200;

function callOf(body: JsonObject, operation: Operation, stream: boolean, model: string): ProviderCall {
  return {
    operation,
    stream,
    model,
    body: Buffer.from(JSON.stringify(body)),
    contentType: "application/json",
    baseUrl: "",
    settings: { vertex_project: "p", vertex_location: "global" },
    credential: new Secret("test"),
    headers: {},
    defaultParams: {},
    outputTokenCap: undefined,
    dropParams: false,
    allowedParams: [],
    createdAt: 1,
  };
}

const question: JsonObject = { messages: [{ role: "user", content: "?" }], stream_options: { include_usage: true } };

function checkAnswer(provider: Provider, recording: Recording): void {
  const responses = readResponses(recording);
  const expected = readCandidate(responses);
  const streamed = recording.response.kind !== "json";
  const exchange = provider.begin(callOf(question, Operation.CHAT_COMPLETIONS, streamed, recording.model));
  const chat = streamed ? decodeStream(exchange, responses) : decodeWhole(exchange, recording);
  strictEqual(chat.text, expected.text);
  strictEqual(chat.reasoning, expected.thoughts);
  strictEqual(chat.finishReason, expected.finishReason);
  if (!hasPartialCalls(responses)) {
    deepStrictEqual(
      chat.tools.map(({ name, input }) => ({ name, input })),
      expected.calls,
    );
  }
  checkCallIds(chat);
  checkUsage(exchange, chat, expected);
}

function decodeStream(exchange: Exchange, responses: readonly JsonObject[]): ChatAnswer {
  const events = responses.map((response) => Buffer.from(`data: ${JSON.stringify(response)}\n\n`));
  const payloads = [...events.flatMap((event) => exchange.decodeEvents([event])), ...exchange.finish()];
  return readChunks(readSse(Buffer.concat(payloads).toString()));
}

function decodeWhole(exchange: Exchange, recording: Recording): ChatAnswer {
  const body = exchange.decodeBody(Buffer.from(textOf(recording.response.body)));
  return readCompletion(objectOf(parseObject(Buffer.from(body).toString())));
}

function checkCallIds(chat: ChatAnswer): void {
  const ids = chat.tools.map(({ id }) => id);
  ok(ids.every((id) => id !== "") && new Set(ids).size === ids.length, "every call has an id of its own");
}

function checkUsage(exchange: Exchange, chat: ChatAnswer, expected: RecordedCandidate): void {
  const { usage, finishReason } = exchange.outcome();
  strictEqual(Number(usage.inputTokens + usage.cacheReadTokens), expected.input);
  strictEqual(Number(usage.cacheReadTokens), expected.cached);
  strictEqual(Number(usage.outputTokens), expected.output);
  strictEqual(Number(usage.reasoningTokens), expected.thoughtTokens);
  strictEqual(usage.estimated, false);
  strictEqual(finishReason, expected.finishReason);
  strictEqual(numberOf(chat.usage.prompt_tokens), expected.input);
  strictEqual(numberOf(chat.usage.completion_tokens), expected.output);
}

/** A message sent back has to hold what was signed and what Gemini ran, in its order; thoughts alone may stay away. */
function checkRoundTrip(provider: Provider, recording: Recording): void {
  const responses = readResponses(recording);
  if (hasPartialCalls(responses)) return;
  const whole = {
    ...responses[0],
    candidates: [{ index: 0, content: { parts: [...readCandidate(responses).parts] } }],
  };
  const exchange = provider.begin(callOf(question, Operation.CHAT_COMPLETIONS, false, recording.model));
  const completion = objectOf(
    parseObject(Buffer.from(exchange.decodeBody(Buffer.from(JSON.stringify(whole)))).toString()),
  );
  const { message } = objectOf(listOf(completion.choices)[0]);
  const again: JsonObject = { messages: [{ role: "user", content: "?" }, objectOf(message)] };
  const { request } = provider.begin(callOf(again, Operation.CHAT_COMPLETIONS, false, "gemini-2.5-flash"));
  const { contents } = objectOf(parseObject(Buffer.from(request.body).toString()));
  const sent = objectsOf(contents).flatMap(({ role, parts }) => (role === "model" ? objectsOf(parts) : []));
  deepStrictEqual(outline(sent), outline(readCandidate(responses).parts));
}

function outline(parts: readonly JsonObject[]): JsonObject {
  const signed = parts.filter((part) => part.thoughtSignature !== undefined);
  const others = parts.filter(
    (part) => part.text === undefined && part.functionCall === undefined && part.inlineData === undefined,
  );
  const calls = parts.filter((part) => isObject(part.functionCall)).map((part) => objectOf(part.functionCall));
  return {
    text: parts.map((part) => (part.thought === true ? "" : textOf(part.text))).join(""),
    signatures: signed.map(({ thoughtSignature }) => thoughtSignature ?? ""),
    calls: calls.map(({ name, args }): JsonValue => [name ?? "", args ?? {}]),
    others: [...others],
  };
}

function checkError(provider: Provider, recording: Recording): void {
  const status = numberOf(recording.response.status);
  const text = textOf(recording.response.body);
  const error = provider.classifyError(status, {}, Buffer.from(text));
  const recorded = objectOf(parseObject(text)?.error);
  // Google calls a bad key a bad request.
  strictEqual(error.httpStatus, textOf(recorded.message).startsWith("API key") ? 401 : status);
  strictEqual(error.message, textOf(recorded.message));
  strictEqual(error.code, textOf(recorded.status));
  ok(error.retryable === (status === 429 || status >= 500));
}

/** AI Studio is asked for several embeddings in one call, never for a single one. */
function embeddingsOf({ response, provider }: Recording): JsonObject[] {
  const body = objectOf(parseObject(textOf(response.body)));
  if (provider === "vertex" && isObject(body.embedding)) return [body.embedding];
  return [...objectsOf(body.embeddings), ...objectsOf(body.predictions).map(({ embeddings }) => objectOf(embeddings))];
}

function checkEmbeddings(provider: Provider, recording: Recording): void {
  const expected = embeddingsOf(recording).map(({ values }) => listOf(values));
  const asked: JsonObject = { input: expected.map((_, at) => `text ${at}`) };
  const host = parseObject(textOf(recording.response.body))?.embeddings === undefined ? provider : gemini;
  const exchange = host.begin(callOf(asked, Operation.EMBEDDINGS, false, recording.model));
  const answer = objectOf(
    parseObject(Buffer.from(exchange.decodeBody(Buffer.from(textOf(recording.response.body)))).toString()),
  );
  deepStrictEqual(
    objectsOf(answer.data).map(({ embedding }) => embedding),
    expected,
  );
}

if (import.meta.main) {
  for (const { name, ran, failures } of replayGemini(process.argv[2])) {
    console.log(`${name}: ${ran - failures.length} of ${ran} passed`);
    for (const failure of failures) console.log(`  ${failure}`);
  }
}
