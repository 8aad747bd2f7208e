import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { Secret } from "#chassis/secret.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange, JsonObject, ProviderCall } from "../../services/provider-adapter/provider.ts";
import { cohere } from "../../services/provider-adapter/providers/cohere/cohere.ts";
import { SseSplitter } from "../../services/provider-adapter/sse.ts";
import {
  listOf,
  numberOf,
  objectOf,
  objectsOf,
  parseObject,
  textOf,
} from "../../services/provider-adapter/translate/json-reading.ts";
import { type Recording, type ReplayResult, readRecordings, recordingsFolder, replay } from "./recording.ts";
import { readSse } from "./sse-reading.ts";

/**
 * Replays recorded traffic of Cohere's own API through the provider `cohere`, without a network: what a chat client gets
 * of an answer is compared with the answer, and what a chat client of the same conversation sends with the recorded
 * request. Run it: `node test/recordings/cohere.ts [folder]`.
 */
export function replayCohere(folder: string = recordingsFolder): ReplayResult[] {
  const exchanges = readRecordings(folder, "cohere");
  const chats = exchanges.filter(({ endpoint }) => endpoint === "cohere.v2.chat");
  const embeds = exchanges.filter(({ endpoint }) => endpoint === "cohere.embed");
  const answered = ({ response }: Recording) => response.status === 200;
  return [
    replay(
      "chat request",
      chats.filter(({ request }) => textOf(request.body) !== ""),
      checkChatRequest,
    ),
    replay("chat answer", chats.filter(answered), checkChatAnswer),
    replay("embeddings", embeds.filter(answered), checkEmbeddings),
    replay(
      "error",
      [...chats, ...embeds].filter((recording) => !answered(recording)),
      checkError,
    ),
  ];
}

const bodyOf = ({ response }: Recording) => textOf(response.body);

function begin(recording: Recording, operation: Operation, body: JsonObject): Exchange {
  const call: ProviderCall = {
    operation,
    stream: recording.response.kind === "sse",
    model: textOf(body.model) || "command-a-03-2025",
    body: Buffer.from(JSON.stringify(body)),
    contentType: "application/json",
    baseUrl: "",
    settings: {},
    credential: new Secret("key"),
    headers: {},
    defaultParams: {},
    outputTokenCap: undefined,
    dropParams: false,
    allowedParams: [],
    createdAt: 1,
  };
  return cohere.begin(call);
}

/** The chat request that the recorded one would be a translation of: written backwards, and by code of its own. */
function chatOf(recorded: JsonObject): JsonObject {
  const { stop_sequences, p, k, tool_choice, response_format, messages, ...rest } = recorded;
  const chat: JsonObject = { ...rest, messages: objectsOf(messages).map(chatMessageOf) };
  if (stop_sequences !== undefined) chat.stop = stop_sequences;
  if (p !== undefined) chat.top_p = p;
  if (k !== undefined) chat.top_k = k;
  if (tool_choice !== undefined) chat.tool_choice = textOf(tool_choice).toLowerCase();
  const schema = objectOf(response_format).json_schema;
  if (schema !== undefined) chat.response_format = { type: "json_schema", json_schema: { name: "answer", schema } };
  else if (response_format !== undefined) chat.response_format = response_format;
  return chat;
}

function chatMessageOf({ tool_plan, ...message }: JsonObject): JsonObject {
  return tool_plan === undefined ? message : { ...message, reasoning_content: tool_plan };
}

/** Some recorders send nulls, empty lists and empty texts for what is not there. */
function tidied(body: JsonObject): JsonObject {
  const messages = objectsOf(body.messages).map((message) => {
    const text = listOf(message.content)
      .map((part) => textOf(objectOf(part).text))
      .join("");
    const isEmpty =
      message.content === null || (message.tool_calls !== undefined && text === "" && !textOf(message.content));
    const { content, citations, tool_plan, ...others } = message;
    const rest = typeof tool_plan === "string" ? { ...others, tool_plan } : others;
    return isEmpty ? rest : { ...rest, content: content ?? "" };
  });
  const members = Object.entries({ stream: false, ...body, messages }).filter(([, value]) => value !== null);
  return Object.fromEntries(members);
}

function checkChatRequest(recording: Recording): void {
  const recorded = objectOf(parseObject(textOf(recording.request.body)));
  const { request } = begin(recording, Operation.CHAT_COMPLETIONS, chatOf(recorded));
  strictEqual(new URL(request.url).pathname, "/v2/chat");
  deepStrictEqual(tidied(objectOf(parseObject(Buffer.from(request.body).toString()))), tidied(recorded));
}

interface Told {
  text: string;
  reasoning: string;
  calls: JsonObject[];
  citations: number;
  finishReason: string;
  usage: JsonObject;
}

/** What a recorded answer tells, its events read one after the other. */
function recordedAnswer(recording: Recording): Told {
  const told: Told = { text: "", reasoning: "", calls: [], citations: 0, finishReason: "", usage: {} };
  if (recording.response.kind !== "sse") {
    const { message, finish_reason, usage } = objectOf(parseObject(bodyOf(recording)));
    const { content, tool_plan, tool_calls, citations } = objectOf(message);
    for (const part of objectsOf(content)) {
      told.text += textOf(part.text);
      told.reasoning += textOf(part.thinking);
    }
    told.reasoning += textOf(tool_plan);
    told.calls = objectsOf(tool_calls).map((call) => ({ id: textOf(call.id), ...objectOf(call.function) }));
    told.citations = listOf(citations).length;
    return { ...told, finishReason: textOf(finish_reason), usage: objectOf(usage) };
  }
  for (const { data } of readSse(bodyOf(recording))) {
    const { delta, type } = objectOf(data);
    const message = objectOf(objectOf(delta).message);
    const content = objectOf(message.content);
    told.text += textOf(content.text);
    told.reasoning += textOf(content.thinking) + (type === "tool-plan-delta" ? textOf(message.tool_plan) : "");
    const call = objectOf(message.tool_calls);
    const { name, arguments: args } = objectOf(call.function);
    if (type === "tool-call-start")
      told.calls.push({ id: textOf(call.id), name: textOf(name), arguments: textOf(args) });
    const last = told.calls.at(-1);
    if (type === "tool-call-delta" && last !== undefined) last.arguments = textOf(last.arguments) + textOf(args);
    if (type === "citation-start") told.citations += 1;
    if (type === "message-end") {
      told.finishReason = textOf(objectOf(delta).finish_reason);
      told.usage = objectOf(objectOf(delta).usage);
    }
  }
  return told;
}

function readChat(answer: string, streamed: boolean): Told {
  const told: Told = { text: "", reasoning: "", calls: [], citations: 0, finishReason: "", usage: {} };
  const chunks = streamed ? readSse(answer).map(({ data }) => objectOf(data)) : [objectOf(parseObject(answer))];
  for (const chunk of chunks) {
    told.usage = { ...told.usage, ...objectOf(chunk.usage) };
    for (const choice of objectsOf(chunk.choices)) {
      const message = objectOf(streamed ? choice.delta : choice.message);
      told.text += textOf(message.content);
      told.reasoning += textOf(message.reasoning_content);
      told.citations += listOf(objectOf(message.provider_specific_fields).citations).length;
      told.finishReason ||= textOf(choice.finish_reason);
      for (const call of objectsOf(message.tool_calls)) addCall(told.calls, call, streamed);
    }
  }
  return told;
}

function addCall(calls: JsonObject[], call: JsonObject, streamed: boolean): void {
  const { name, arguments: args } = objectOf(call.function);
  const open = streamed ? calls[numberOf(call.index)] : undefined;
  if (open !== undefined) open.arguments = textOf(open.arguments) + textOf(args);
  else {
    if (streamed) strictEqual(call.index, calls.length);
    calls.push({ id: textOf(call.id), name: textOf(name), arguments: textOf(args) });
  }
}

const finishReasons: Readonly<Record<string, string>> = {
  COMPLETE: "stop",
  STOP_SEQUENCE: "stop",
  MAX_TOKENS: "length",
  TOOL_CALL: "tool_calls",
};

function checkChatAnswer(recording: Recording): void {
  const streamed = recording.response.kind === "sse";
  const asked = { messages: [{ role: "user", content: "?" }], stream_options: { include_usage: true } };
  const exchange = begin(recording, Operation.CHAT_COMPLETIONS, asked);
  const body = Buffer.from(bodyOf(recording));
  const answer = streamed ? decodeStream(exchange, body) : Buffer.from(exchange.decodeBody(body)).toString();
  const { usage, finishReason, ...rest } = readChat(answer, streamed);
  const recorded = recordedAnswer(recording);
  const { usage: recordedUsage, finishReason: recordedReason, ...recordedRest } = recorded;
  deepStrictEqual(rest, recordedRest);
  strictEqual(finishReason, finishReasons[recordedReason]);
  const tokens = objectOf(recordedUsage.tokens);
  strictEqual(usage.prompt_tokens, numberOf(tokens.input_tokens) + numberOf(tokens.image_tokens));
  strictEqual(usage.completion_tokens, numberOf(tokens.output_tokens));
  const metered = exchange.outcome();
  const billed = objectOf(recordedUsage.billed_units);
  deepStrictEqual(
    [Number(metered.usage.inputTokens), Number(metered.usage.outputTokens), metered.usage.estimated],
    [numberOf(billed.input_tokens), numberOf(billed.output_tokens), false],
  );
  strictEqual(metered.finishReason, finishReason);
}

function decodeStream(exchange: Exchange, body: Uint8Array): string {
  const splitter = new SseSplitter();
  const events = splitter.push(body);
  const rest = splitter.end();
  const all = rest === undefined ? events : [...events, rest];
  const single = all.flatMap((event) => exchange.decodeEvents([event]));
  return Buffer.concat([...single, ...exchange.finish()]).toString();
}

function checkEmbeddings(recording: Recording): void {
  const { texts, images, input_type, output_dimension, ...rest } = objectOf(
    parseObject(textOf(recording.request.body)),
  );
  const asked: JsonObject = { ...rest, input: texts ?? images ?? [] };
  if (input_type !== undefined) asked.input_type = input_type;
  if (typeof output_dimension === "number") asked.dimensions = output_dimension;
  const exchange = begin(recording, Operation.EMBEDDINGS, asked);
  const sent = objectOf(parseObject(Buffer.from(exchange.request.body).toString()));
  deepStrictEqual(
    [sent.texts, sent.images, sent.input_type, sent.truncate],
    [texts, images, input_type, rest.truncate],
  );
  const answer = objectOf(parseObject(Buffer.from(exchange.decodeBody(Buffer.from(bodyOf(recording)))).toString()));
  const recorded = objectOf(parseObject(bodyOf(recording)));
  const vectors = Array.isArray(recorded.embeddings) ? recorded.embeddings : objectOf(recorded.embeddings).float;
  deepStrictEqual(
    objectsOf(answer.data).map(({ embedding }) => embedding),
    vectors,
  );
  const billed = objectOf(objectOf(recorded.meta).billed_units);
  const tokens = numberOf(billed.input_tokens) + numberOf(billed.image_tokens);
  strictEqual(objectOf(answer.usage).prompt_tokens, tokens);
  strictEqual(Number(exchange.outcome().usage.inputTokens), tokens);
}

function checkError(recording: Recording): void {
  const status = numberOf(recording.response.status);
  const error = cohere.classifyError(status, {}, Buffer.from(bodyOf(recording)));
  strictEqual(error.httpStatus, status);
  strictEqual(error.message, textOf(parseObject(bodyOf(recording))?.message));
  ok(error.message !== "");
}

if (import.meta.main) {
  for (const { name, ran, failures } of replayCohere(process.argv[2])) {
    console.log(`${name}: ${ran - failures.length} of ${ran} passed`);
    for (const failure of failures) console.log(`  ${failure}`);
  }
}
