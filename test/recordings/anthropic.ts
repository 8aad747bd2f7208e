import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { Secret } from "#chassis/secret.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange, ProviderCall } from "../../services/provider-adapter/provider.ts";
import { anthropic } from "../../services/provider-adapter/providers/anthropic/anthropic.ts";
import { SseSplitter } from "../../services/provider-adapter/sse.ts";
import {
  numberOf,
  objectOf,
  objectsOf,
  parseObject,
  textOf,
} from "../../services/provider-adapter/translate/json-reading.ts";
import { compareWithMessage, readChunks, readCompletion } from "./chat-answer.ts";
import { finishReasons, inputTokensOf, type RecordedMessage, readMessage } from "./recorded-message.ts";
import { type Recording, type ReplayResult, readRecordings, recordingsFolder, replay } from "./recording.ts";
import { readSse } from "./sse-reading.ts";

/**
 * Replays recorded Messages traffic through the provider `anthropic`, without a network: passed through, and answered to
 * a chat completion client. What the recordings hold is read here by code of its own, so that the provider is compared
 * with the recording and not with itself. Run it: `node test/recordings/anthropic.ts [folder]`.
 */
export function replayAnthropic(folder: string = recordingsFolder): ReplayResult[] {
  const exchanges = readRecordings(folder, "anthropic").filter(({ endpoint }) => endpoint === "messages");
  return [
    replay("pass-through request", exchanges.filter(hasRequest), checkRequest),
    replay("pass-through answer", exchanges.filter(isAnswer), checkPassThrough),
    replay("chat answer", exchanges.filter(isAnswer), checkChatAnswer),
    replay(
      "error",
      exchanges.filter(({ response }) => numberOf(response.status) >= 400),
      checkError,
    ),
  ];
}

const hasRequest = ({ request }: Recording) => textOf(request.body) !== "";
const isAnswer = ({ response }: Recording) => response.status === 200;
const bodyOf = ({ response }: Recording) => Buffer.from(textOf(response.body));

function callOf(recording: Recording, operation: Operation, body: Uint8Array): ProviderCall {
  return {
    operation,
    stream: recording.response.kind === "sse",
    model: textOf(parseObject(textOf(recording.request.body))?.model) || "claude-sonnet-4-5",
    body,
    contentType: "application/json",
    baseUrl: "",
    settings: {},
    credential: new Secret("sk-ant-test"),
    headers: {},
    defaultParams: {},
    outputTokenCap: undefined,
    dropParams: false,
    allowedParams: [],
    createdAt: 1,
  };
}

function checkRequest(recording: Recording): void {
  const body = Buffer.from(textOf(recording.request.body));
  const { request } = anthropic.begin(callOf(recording, Operation.MESSAGES, body));
  deepStrictEqual(JSON.parse(Buffer.from(request.body).toString()), JSON.parse(body.toString()));
}

function checkPassThrough(recording: Recording): void {
  const exchange = anthropic.begin(callOf(recording, Operation.MESSAGES, Buffer.from("{}")));
  const body = bodyOf(recording);
  const answer = decode(recording, exchange, body);
  const expected = recording.response.kind === "sse" ? splitEvents(body) : [body];
  strictEqual(Buffer.concat(answer).toString(), Buffer.concat(expected).toString());
  checkUsage(exchange, readMessage(recording));
}

function decode(recording: Recording, exchange: Exchange, body: Uint8Array): Uint8Array[] {
  if (recording.response.kind !== "sse") return [exchange.decodeBody(body)];
  const payloads = splitEvents(body).flatMap((event) => exchange.decodeEvents([event]));
  return [...payloads, ...exchange.finish()];
}

function splitEvents(body: Uint8Array): Uint8Array[] {
  const splitter = new SseSplitter();
  const events = splitter.push(body);
  const rest = splitter.end();
  return rest === undefined ? events : [...events, rest];
}

function checkUsage(exchange: Exchange, message: RecordedMessage): void {
  const { usage, finishReason } = exchange.outcome();
  let extraInput = 0;
  let extraOutput = 0;
  for (const iteration of objectsOf(message.usage.iterations)) {
    if (/message$/.test(textOf(iteration.type)) && iteration.type !== "advisor_message") continue;
    extraInput += numberOf(iteration.input_tokens);
    extraOutput += numberOf(iteration.output_tokens);
  }
  const input = usage.inputTokens + usage.cacheReadTokens + usage.cacheWriteTokens + usage.cacheWrite1hTokens;
  strictEqual(Number(input), message.earlier.input + inputTokensOf(message.usage) + extraInput);
  strictEqual(Number(usage.outputTokens), message.earlier.output + numberOf(message.usage.output_tokens) + extraOutput);
  strictEqual(usage.estimated, false);
  strictEqual(finishReason, finishReasons[message.stopReason]);
}

const chatRequest = Buffer.from(
  JSON.stringify({ messages: [{ role: "user", content: "?" }], stream_options: { include_usage: true } }),
);

function checkChatAnswer(recording: Recording): void {
  const exchange = anthropic.begin(callOf(recording, Operation.CHAT_COMPLETIONS, chatRequest));
  const answer = Buffer.concat(decode(recording, exchange, bodyOf(recording))).toString();
  const message = readMessage(recording);
  const streamed = recording.response.kind === "sse";
  compareWithMessage(streamed ? readChunks(readSse(answer)) : readCompletion(objectOf(parseObject(answer))), message);
  checkUsage(exchange, message);
}

function checkError(recording: Recording): void {
  const status = numberOf(recording.response.status);
  const error = anthropic.classifyError(status, {}, bodyOf(recording));
  const recorded = objectOf(parseObject(textOf(recording.response.body))?.error);
  strictEqual(error.httpStatus, status);
  strictEqual(error.message, textOf(recorded.message));
  strictEqual(error.type, textOf(recorded.type));
}

if (import.meta.main) {
  for (const { name, ran, failures } of replayAnthropic(process.argv[2])) {
    console.log(`${name}: ${ran - failures.length} of ${ran} passed`);
    for (const failure of failures) console.log(`  ${failure}`);
  }
}
