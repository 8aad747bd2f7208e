import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { Secret } from "#chassis/secret.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange, JsonObject, JsonValue, ProviderCall } from "../../services/provider-adapter/provider.ts";
import { anthropic } from "../../services/provider-adapter/providers/anthropic/anthropic.ts";
import { SseSplitter } from "../../services/provider-adapter/sse.ts";
import { finishReasonOf } from "../../services/provider-adapter/translate/finish-reason.ts";
import {
  isObject,
  listOf,
  numberOf,
  objectOf,
  objectsOf,
  parseObject,
  textOf,
} from "../../services/provider-adapter/translate/json-reading.ts";
import { replayTwins } from "./anthropic-twins.ts";
import { type Recording, type ReplayResult, readRecordings, recordingsFolder, replay } from "./recording.ts";

/**
 * Replays recorded Messages traffic through the provider `anthropic`, without a network: passed through, and answered to
 * a chat completion client. What the recordings hold is read here by code of its own, so that the provider is compared
 * with the recording and not with itself. Run it: `node test/recordings/anthropic.ts [folder]`. Of the twins, requests that
 * two frameworks made for one scenario, not all agree: the frameworks differ in more than the dialect.
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
    replayTwins(folder, new Map(exchanges.map((exchange) => [exchange.id, exchange]))),
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

/** What a recorded answer says, streamed or not. */
interface RecordedMessage {
  text: string;
  thinking: string;
  readonly tools: { id: string; name: string; input: JsonValue; partial: string }[];
  stopReason: string;
  usage: JsonObject;
  /** Sums over the messages of a stream that holds several. */
  earlier: { input: number; output: number };
}

function readMessage({ response }: Recording): RecordedMessage {
  const message: RecordedMessage = {
    text: "",
    thinking: "",
    tools: [],
    stopReason: "",
    usage: {},
    earlier: { input: 0, output: 0 },
  };
  const text = textOf(response.body);
  if (response.kind !== "sse") {
    const body = objectOf(parseObject(text));
    for (const block of objectsOf(body.content)) readBlock(message, block);
    message.stopReason = textOf(body.stop_reason);
    message.usage = objectOf(body.usage);
    return message;
  }
  for (const line of text.split("\n")) {
    if (line.startsWith("data:")) readEvent(message, objectOf(parseObject(line.slice(5))));
  }
  for (const tool of message.tools) if (tool.partial !== "") tool.input = JSON.parse(tool.partial);
  return message;
}

function readBlock(message: RecordedMessage, block: JsonObject): void {
  if (block.type === "text") message.text += textOf(block.text);
  if (block.type === "thinking") message.thinking += textOf(block.thinking);
  if (block.type === "tool_use") {
    message.tools.push({ id: textOf(block.id), name: textOf(block.name), input: block.input ?? {}, partial: "" });
  }
}

function readEvent(message: RecordedMessage, event: JsonObject): void {
  const delta = objectOf(event.delta);
  const last = message.tools.at(-1);
  if (event.type === "message_start") {
    message.earlier.input += inputOf(message.usage);
    message.earlier.output += numberOf(message.usage.output_tokens);
    message.usage = { ...objectOf(objectOf(event.message).usage) };
  }
  if (event.type === "content_block_start") {
    readBlock(message, objectOf(event.content_block));
    if (objectOf(event.content_block).type === "server_tool_use") message.tools.push(serverTool);
  }
  if (event.type === "message_delta") {
    message.stopReason = textOf(delta.stop_reason);
    Object.assign(message.usage, objectOf(event.usage));
  }
  if (event.type === "content_block_stop" && last === serverTool) message.tools.pop();
  if (delta.type === "text_delta") message.text += textOf(delta.text);
  if (delta.type === "thinking_delta") message.thinking += textOf(delta.thinking);
  if (delta.type === "input_json_delta" && last !== undefined && last !== serverTool) {
    last.partial += textOf(delta.partial_json);
  }
}

/** Stands for a server tool while its input streams by. */
const serverTool = { id: "", name: "", input: null, partial: "" };

function inputOf(usage: JsonObject): number {
  return (
    numberOf(usage.input_tokens) + numberOf(usage.cache_read_input_tokens) + numberOf(usage.cache_creation_input_tokens)
  );
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
  strictEqual(Number(input), message.earlier.input + inputOf(message.usage) + extraInput);
  strictEqual(Number(usage.outputTokens), message.earlier.output + numberOf(message.usage.output_tokens) + extraOutput);
  strictEqual(usage.estimated, false);
  strictEqual(finishReason, finishReasonOf(message.stopReason));
}

const chatRequest = Buffer.from(
  JSON.stringify({ messages: [{ role: "user", content: "?" }], stream_options: { include_usage: true } }),
);

function checkChatAnswer(recording: Recording): void {
  const exchange = anthropic.begin(callOf(recording, Operation.CHAT_COMPLETIONS, chatRequest));
  const payloads = decode(recording, exchange, bodyOf(recording)).map((payload) => Buffer.from(payload).toString());
  const message = readMessage(recording);
  const chat = recording.response.kind === "sse" ? readChunks(payloads) : readCompletion(payloads);
  strictEqual(chat.text, message.text);
  strictEqual(chat.reasoning, message.thinking);
  deepStrictEqual(
    chat.tools,
    message.tools.map(({ id, name, input }) => ({ id, name, input })),
  );
  strictEqual(chat.finishReason, finishReasonOf(message.stopReason));
  strictEqual(numberOf(chat.usage.prompt_tokens), message.earlier.input + inputOf(message.usage));
  strictEqual(numberOf(chat.usage.completion_tokens), message.earlier.output + numberOf(message.usage.output_tokens));
  checkUsage(exchange, message);
}

interface ChatMessage {
  text: string;
  reasoning: string;
  tools: { id: string; name: string; input: JsonValue }[];
  finishReason: string;
  usage: JsonObject;
}

function readCompletion([body]: readonly string[]): ChatMessage {
  const completion = objectOf(parseObject(body ?? ""));
  const choice = objectOf(listOf(completion.choices)[0]);
  const message = objectOf(choice.message);
  return {
    text: textOf(message.content),
    reasoning: textOf(message.reasoning_content),
    tools: objectsOf(message.tool_calls).map((call) => readCall(call)),
    finishReason: textOf(choice.finish_reason),
    usage: objectOf(completion.usage),
  };
}

function readCall(call: JsonObject): { id: string; name: string; input: JsonValue } {
  const { name, arguments: text } = objectOf(call.function);
  return { id: textOf(call.id), name: textOf(name), input: JSON.parse(textOf(text)) };
}

function readChunks(payloads: readonly string[]): ChatMessage {
  const message: ChatMessage = { text: "", reasoning: "", tools: [], finishReason: "", usage: {} };
  const calls: { id: string; name: string; text: string }[] = [];
  strictEqual(payloads.at(-1), "data: [DONE]\n\n");
  for (const payload of payloads.slice(0, -1)) {
    const chunk = objectOf(parseObject(payload.slice("data: ".length)));
    if (isObject(chunk.usage)) message.usage = chunk.usage;
    const choice = objectOf(listOf(chunk.choices)[0]);
    const delta = objectOf(choice.delta);
    message.text += textOf(delta.content);
    message.reasoning += textOf(delta.reasoning_content);
    for (const call of objectsOf(delta.tool_calls)) {
      const at = numberOf(call.index);
      if (typeof call.id === "string") strictEqual(at, calls.length, "indexes are dense");
      calls[at] ??= { id: textOf(call.id), name: textOf(objectOf(call.function).name), text: "" };
      const known = calls[at];
      known.text += textOf(objectOf(call.function).arguments);
    }
    if (typeof choice.finish_reason !== "string") continue;
    strictEqual(message.finishReason, "", "exactly one finish");
    message.finishReason = choice.finish_reason;
  }
  message.tools = calls.map(({ id, name, text }) => ({ id, name, input: JSON.parse(text) }));
  return message;
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
