import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { Secret } from "#chassis/secret.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange, JsonObject, ProviderCall } from "../../services/provider-adapter/provider.ts";
import { bedrock } from "../../services/provider-adapter/providers/bedrock/bedrock.ts";
import {
  numberOf,
  objectOf,
  objectsOf,
  parseObject,
  textOf,
} from "../../services/provider-adapter/translate/json-reading.ts";
import { replayBedrockInvoke } from "./bedrock-invoke.ts";
import { readChunks, readCompletion } from "./chat-answer.ts";
import { bytesOf, decode, headersOf } from "./recorded-bedrock.ts";
import { type RecordedConverse, readConverse } from "./recorded-converse.ts";
import { type Recording, type ReplayResult, readRecordings, recordingsFolder, replay } from "./recording.ts";
import { readSse } from "./sse-reading.ts";

/**
 * Replays recorded Converse traffic through the provider `bedrock`, without a network, answered to a chat completion
 * client and to a Messages client, and what was recorded of Bedrock's other methods. What the recordings hold is read here
 * by code of its own. Run it: `node test/recordings/bedrock.ts [folder]`.
 */
export function replayBedrock(folder: string = recordingsFolder): ReplayResult[] {
  const exchanges = readRecordings(folder, "bedrock").filter(({ endpoint }) => endpoint.startsWith("bedrock.converse"));
  const answers = exchanges.filter(({ response }) => response.status === 200);
  return [
    replay("chat answer", answers, (recording) => checkChatAnswer(recording, [Number.POSITIVE_INFINITY])),
    replay(
      "chat answer, cut up",
      answers.filter(({ response }) => response.kind === "aws-eventstream"),
      (recording) => checkChatAnswer(recording, [1, 7, 1000]),
    ),
    replay("messages answer", answers, checkMessagesAnswer),
    replay(
      "error",
      exchanges.filter(({ response }) => numberOf(response.status) >= 400),
      checkError,
    ),
    ...replayBedrockInvoke(folder),
  ];
}

const request = { messages: [{ role: "user", content: "?" }] };

function callOf(recording: Recording, operation: Operation, body: JsonObject): ProviderCall {
  return {
    operation,
    stream: recording.response.kind === "aws-eventstream",
    model: `converse/${recording.model || "amazon.nova-lite-v1:0"}`,
    body: Buffer.from(JSON.stringify(body)),
    contentType: "application/json",
    baseUrl: "",
    settings: {},
    credential: new Secret("test"),
    headers: {},
    defaultParams: {},
    outputTokenCap: undefined,
    dropParams: false,
    allowedParams: [],
    createdAt: 1,
  };
}

function checkChatAnswer(recording: Recording, sizes: readonly number[]): void {
  const recorded = readConverse(recording, bytesOf(recording));
  for (const size of sizes) {
    const body = { ...request, stream_options: { include_usage: true } };
    const exchange = bedrock.begin(callOf(recording, Operation.CHAT_COMPLETIONS, body));
    const text = decode(recording, exchange, size);
    const streamed = recording.response.kind === "aws-eventstream";
    const answer = streamed ? readChunks(readSse(text)) : readCompletion(objectOf(parseObject(text)));
    strictEqual(answer.text, recorded.text);
    strictEqual(answer.reasoning, recorded.reasoning);
    deepStrictEqual(answer.tools, recorded.tools);
    strictEqual(answer.finishReason, finishReasons[recorded.stopReason]);
    strictEqual(numberOf(answer.usage.prompt_tokens), recorded.inputTokens);
    strictEqual(numberOf(answer.usage.completion_tokens), recorded.outputTokens);
    checkUsage(exchange, recorded);
  }
}

const finishReasons: Readonly<Record<string, string>> = {
  end_turn: "stop",
  stop_sequence: "stop",
  max_tokens: "length",
  tool_use: "tool_calls",
  content_filtered: "content_filter",
  guardrail_intervened: "content_filter",
};

function checkUsage(exchange: Exchange, recorded: RecordedConverse): void {
  const { usage } = exchange.outcome();
  strictEqual(Number(usage.inputTokens + usage.cacheReadTokens + usage.cacheWriteTokens), recorded.inputTokens);
  strictEqual(Number(usage.cacheReadTokens), recorded.cacheRead);
  strictEqual(Number(usage.outputTokens), recorded.outputTokens);
  strictEqual(usage.estimated, false);
}

function checkMessagesAnswer(recording: Recording): void {
  const recorded = readConverse(recording, bytesOf(recording));
  const exchange = bedrock.begin(callOf(recording, Operation.MESSAGES, { ...request, max_tokens: 10 }));
  const text = decode(recording, exchange, Number.POSITIVE_INFINITY);
  const content = recording.response.kind === "aws-eventstream" ? streamedBlocks(text) : wholeBlocks(text);
  const of = (type: string) => content.filter((block) => block.type === type);
  strictEqual(
    of("text")
      .map((block) => textOf(block.text))
      .join(""),
    recorded.text,
  );
  strictEqual(
    of("thinking")
      .map((block) => textOf(block.thinking))
      .join(""),
    recorded.reasoning,
  );
  strictEqual(
    of("thinking")
      .map((block) => textOf(block.signature))
      .join(""),
    recorded.signature,
  );
  deepStrictEqual(
    of("tool_use").map(({ id, name, input }) => ({ id, name, input })),
    recorded.tools,
  );
  checkUsage(exchange, recorded);
}

function wholeBlocks(text: string): JsonObject[] {
  return objectsOf(parseObject(text)?.content);
}

/** Puts the blocks of a stream together; every event has to stand in Anthropic's order. */
function streamedBlocks(text: string): JsonObject[] {
  const blocks: JsonObject[] = [];
  const events = readSse(text);
  deepStrictEqual(
    [events[0]?.name, events.at(-2)?.name, events.at(-1)?.name],
    ["message_start", "message_delta", "message_stop"],
  );
  let input = "";
  for (const { name, data } of events) {
    const event = objectOf(data);
    const delta = objectOf(event.delta);
    const last = blocks.at(-1);
    if (name === "content_block_start") {
      blocks.push({ ...objectOf(event.content_block) });
      input = "";
    }
    if (last === undefined) continue;
    if (name === "content_block_delta") {
      input += textOf(delta.partial_json);
      for (const member of ["text", "thinking", "signature"]) {
        if (typeof delta[member] === "string") last[member] = textOf(last[member]) + delta[member];
      }
    }
    if (name === "content_block_stop" && input !== "") last.input = JSON.parse(input);
  }
  strictEqual(events.filter(({ name }) => name === "content_block_stop").length, blocks.length);
  return blocks;
}

function checkError(recording: Recording): void {
  const status = numberOf(recording.response.status);
  const error = bedrock.classifyError(status, headersOf(recording), bytesOf(recording));
  strictEqual(error.message, textOf(parseObject(textOf(recording.response.body))?.message));
  strictEqual(error.retryable, false);
  strictEqual(error.httpStatus, /Signature/.test(error.message) ? 401 : status);
}

if (import.meta.main) {
  for (const { name, ran, failures } of replayBedrock(process.argv[2])) {
    console.log(`${name}: ${ran - failures.length} of ${ran} passed`);
    for (const failure of failures) console.log(`  ${failure}`);
  }
}
