import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import { NdjsonSplitter } from "../../services/provider-adapter/ndjson.ts";
import type { Exchange, JsonObject } from "../../services/provider-adapter/provider.ts";
import { ollamaChat } from "../../services/provider-adapter/providers/ollama-chat/ollama-chat.ts";
import {
  numberOf,
  objectOf,
  objectsOf,
  parseObject,
  textOf,
} from "../../services/provider-adapter/translate/json-reading.ts";
import { type Recording, type ReplayResult, readRecordings, recordingsFolder, replay } from "./recording.ts";
import { readSse } from "./sse-reading.ts";

/**
 * Replays recorded traffic of Ollama's native chat through the provider `ollama_chat`, without a network. Run it:
 * `node test/recordings/ollama-chat.ts [folder]`.
 */
export function replayOllamaChat(folder: string = recordingsFolder): ReplayResult[] {
  const exchanges = readRecordings(folder, "ollama").filter(({ endpoint }) => endpoint === "ollama.chat");
  const answered = ({ response }: Recording) => response.status === 200;
  return [
    replay(
      "request",
      exchanges.filter(({ request }) => textOf(request.body) !== ""),
      checkRequest,
    ),
    replay("answer", exchanges.filter(answered), checkAnswer),
    replay(
      "error",
      exchanges.filter((recording) => !answered(recording)),
      checkError,
    ),
  ];
}

function begin(recording: Recording, body: JsonObject): Exchange {
  return ollamaChat.begin({
    operation: Operation.CHAT_COMPLETIONS,
    stream: recording.response.kind === "ndjson",
    model: textOf(body.model) || "qwen3:4b",
    body: Buffer.from(JSON.stringify(body)),
    contentType: "application/json",
    baseUrl: "",
    settings: {},
    credential: undefined,
    headers: {},
    defaultParams: {},
    outputTokenCap: undefined,
    dropParams: false,
    allowedParams: [],
    callId: "call",
    createdAt: 1,
  });
}

/** The chat request that the recorded one would be a translation of. */
function chatOf({ format, options, messages, ...rest }: JsonObject): JsonObject {
  const chat: JsonObject = { ...rest, ...objectOf(options), messages: objectsOf(messages).map(chatMessageOf) };
  const schema = objectOf(format);
  if (format === "json") chat.response_format = { type: "json_object" };
  else if (Object.keys(schema).length > 0) {
    chat.response_format = { type: "json_schema", json_schema: { name: "answer", schema } };
  }
  return chat;
}

/** A result names its tool; a chat names the call, here by the tool's name. */
function chatMessageOf({ thinking, tool_calls, tool_name, images, ...rest }: JsonObject): JsonObject {
  const message: JsonObject = { ...rest };
  if (thinking !== undefined && thinking !== null) message.reasoning_content = thinking;
  if (typeof tool_name === "string") message.tool_call_id = tool_name;
  if (Array.isArray(images) && images.length > 0) {
    const parts = images.map((data) => ({
      type: "image_url",
      image_url: { url: `data:image/png;base64,${textOf(data)}` },
    }));
    message.content = [{ type: "text", text: textOf(rest.content) }, ...parts];
  }
  const calls = objectsOf(tool_calls).map((call) => {
    const { name, arguments: args } = objectOf(call.function);
    return { id: textOf(name), type: "function", function: { name: textOf(name), arguments: JSON.stringify(args) } };
  });
  if (calls.length > 0) message.tool_calls = calls;
  return message;
}

/** What recorders send for what is not there, and ids, which Ollama does not heed. */
function tidied(body: JsonObject): JsonObject {
  const messages = objectsOf(body.messages).map((message) => {
    const calls = objectsOf(message.tool_calls).map((call) => {
      const { name, arguments: args } = objectOf(call.function);
      return { name: name ?? "", args: args ?? {} };
    });
    const members = { ...message, tool_calls: calls };
    return withoutEmpty(members);
  });
  return withoutEmpty({ ...body, messages });
}

function withoutEmpty(object: JsonObject): JsonObject {
  const isEmpty = (value: JsonObject[string]) =>
    value === null || value === "" || (typeof value === "object" && Object.keys(value).length === 0);
  return Object.fromEntries(Object.entries(object).filter(([, value]) => !isEmpty(value)));
}

function checkRequest(recording: Recording): void {
  const recorded = objectOf(parseObject(textOf(recording.request.body)));
  const { request } = begin(recording, chatOf(recorded));
  strictEqual(new URL(request.url).pathname, "/api/chat");
  deepStrictEqual(tidied(objectOf(parseObject(Buffer.from(request.body).toString()))), tidied(recorded));
}

interface Told {
  text: string;
  reasoning: string;
  readonly calls: JsonObject[];
}

function addMessage(told: Told, message: JsonObject): void {
  told.text += textOf(message.content);
  told.reasoning += textOf(message.thinking ?? message.reasoning_content);
  for (const call of objectsOf(message.tool_calls)) {
    const { name, arguments: args } = objectOf(call.function);
    told.calls.push({ name: name ?? "", args: typeof args === "string" ? (parseObject(args) ?? {}) : (args ?? {}) });
  }
}

function checkAnswer(recording: Recording): void {
  const streamed = recording.response.kind === "ndjson";
  const body = Buffer.from(textOf(recording.response.body));
  const lines = streamed
    ? textOf(recording.response.body).split("\n").map(parseObject)
    : [parseObject(body.toString())];
  const recorded: Told = { text: "", reasoning: "", calls: [] };
  for (const line of lines) addMessage(recorded, objectOf(line?.message));
  const last = objectOf(lines.findLast((line) => line !== undefined));

  const asked = { messages: [{ role: "user", content: "?" }], stream_options: { include_usage: true } };
  const exchange = begin(recording, asked);
  const told: Told = { text: "", reasoning: "", calls: [] };
  const chunks = streamed
    ? streamedChunks(exchange, body)
    : [objectOf(parseObject(Buffer.from(exchange.decodeBody(body)).toString()))];
  for (const chunk of chunks) {
    for (const choice of objectsOf(chunk.choices)) addMessage(told, objectOf(streamed ? choice.delta : choice.message));
  }
  deepStrictEqual(told, recorded);
  const { usage, finishReason } = exchange.outcome();
  deepStrictEqual(
    [Number(usage.inputTokens), Number(usage.outputTokens), usage.estimated],
    [numberOf(last.prompt_eval_count), numberOf(last.eval_count), false],
  );
  const expected = last.done_reason === "length" ? "length" : recorded.calls.length > 0 ? "tool_calls" : "stop";
  strictEqual(finishReason, expected);
}

function streamedChunks(exchange: Exchange, body: Uint8Array): JsonObject[] {
  const splitter = new NdjsonSplitter();
  const lines = splitter.push(body);
  const rest = splitter.end();
  const payloads = exchange.decodeEvents(rest === undefined ? lines : [...lines, rest]);
  return readSse(Buffer.concat([...payloads, ...exchange.finish()]).toString()).map(({ data }) => objectOf(data));
}

function checkError(recording: Recording): void {
  const body = textOf(recording.response.body);
  const error = ollamaChat.classifyError(numberOf(recording.response.status), {}, Buffer.from(body));
  deepStrictEqual([error.httpStatus, error.message], [recording.response.status, parseObject(body)?.error]);
}

if (import.meta.main) {
  for (const { name, ran, failures } of replayOllamaChat(process.argv[2])) {
    console.log(`${name}: ${ran - failures.length} of ${ran} passed`);
    for (const failure of failures) console.log(`  ${failure}`);
  }
}
