import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { Secret } from "#chassis/secret.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange, ProviderCall } from "../../services/provider-adapter/provider.ts";
import { vertexAi } from "../../services/provider-adapter/providers/vertex-ai/vertex-ai.ts";
import { SseSplitter } from "../../services/provider-adapter/sse.ts";
import { objectOf, parseObject, textOf } from "../../services/provider-adapter/translate/json-reading.ts";
import { compareWithMessage, readChunks, readCompletion } from "./chat-answer.ts";
import { readMessage } from "./recorded-message.ts";
import { type Recording, type ReplayResult, replay } from "./recording.ts";
import { readSse } from "./sse-reading.ts";

/** Recorded calls of Claude on Vertex AI: Messages passed through both ways, and answered to a chat completion client. */
export function replayClaudeOnVertex(recordings: readonly Recording[]): ReplayResult {
  const calls = recordings.filter(
    ({ endpoint, response }) => endpoint === "vertex.rawPredict" && response.status === 200,
  );
  return replay("vertex claude", calls, checkCall);
}

function checkCall(recording: Recording): void {
  const body = textOf(recording.request.body);
  const passed = vertexAi.begin(callOf(recording, Operation.MESSAGES, body));
  deepStrictEqual(JSON.parse(Buffer.from(passed.request.body).toString()), JSON.parse(body));
  const url = new URL(textOf(recording.request.url));
  strictEqual(new URL(passed.request.url).pathname.split("/publishers/")[1], url.pathname.split("/publishers/")[1]);
  const answer = textOf(recording.response.body);
  strictEqual(decode(passed, recording, answer).trimEnd(), answer.trimEnd());
  const question = '{"messages":[{"role":"user","content":"?"}],"stream_options":{"include_usage":true}}';
  const chat = decode(vertexAi.begin(callOf(recording, Operation.CHAT_COMPLETIONS, question)), recording, answer);
  const read = isStream(recording) ? readChunks(readSse(chat)) : readCompletion(objectOf(parseObject(chat)));
  compareWithMessage(read, readMessage(recording));
}

const isStream = ({ response }: Recording) => response.kind === "sse";

function callOf(recording: Recording, operation: Operation, body: string): ProviderCall {
  return {
    operation,
    stream: isStream(recording),
    model: recording.model.includes("@") ? recording.model : recording.model.replace(/-(\d{8})$/, "@$1"),
    body: Buffer.from(body),
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

function decode(exchange: Exchange, recording: Recording, answer: string): string {
  if (!isStream(recording)) return Buffer.from(exchange.decodeBody(Buffer.from(answer))).toString();
  const splitter = new SseSplitter();
  const events = splitter.push(Buffer.from(answer));
  const rest = splitter.end();
  const payloads = exchange.decodeEvents(rest === undefined ? events : [...events, rest]);
  return Buffer.concat([...payloads, ...exchange.finish()]).toString();
}
