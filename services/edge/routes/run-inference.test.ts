import assert from "node:assert/strict";
import { request as httpRequest } from "node:http";
import { after, test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { gatewayError, upstreamError } from "#chassis/errors.ts";
import { Reason, UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { InferRequest } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import { open, post, send } from "../testing/raw-http.ts";
import {
  answerOf,
  chunkEvent,
  finishedEvent,
  type InferScript,
  type MeshScript,
  startedEvent,
  startTestEdge,
  type TestEdge,
} from "../testing/scripted-mesh.ts";

const sse = "text/event-stream";
const chat = { model: "gpt-4o", messages: [{ role: "user", content: "hi" }] };
const running: TestEdge[] = [];
after(() => Promise.all(running.map((edge) => edge.stop())));

async function start(infer?: InferScript, config: MeshScript["config"] = {}): Promise<TestEdge> {
  const edge = await startTestEdge({ ...(infer && { infer }), config });
  running.push(edge);
  return edge;
}

async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; tries < 1000 && !condition(); tries += 1) await new Promise((resolve) => setTimeout(resolve, 2));
  assert.ok(condition());
}

test("a whole answer has its length, cost, deployment and timing", async () => {
  const edge = await start(async function* () {
    yield* answerOf("application/json", [['{"a"', ":"], ["1}"]]);
  });
  const answer = await post(`${edge.url}/v1/chat/completions`, chat, { "x-litellm-call-id": "my-call" });
  assert.equal(answer.text, '{"a":1}');
  const { headers } = answer;
  assert.equal(headers["content-length"], "7");
  assert.equal(headers["content-type"], "application/json");
  assert.equal(headers["x-litellm-call-id"], "my-call");
  assert.equal(headers["x-litellm-model-id"], "deployment-1");
  assert.equal(headers["x-litellm-model-group"], "gpt-4o");
  assert.equal(headers["x-litellm-response-cost"], "0.000012345");
  assert.equal(headers["x-litellm-attempted-retries"], "1");
  assert.equal(headers["llm_provider-x-request-id"], "req-1");
  assert.equal(headers["set-cookie"], undefined);
  assert.match(String(headers["server-timing"]), /^sluice;dur=[\d.]+, upstream;dur=0\.20$/);
});

test("the head of a stream tells the upstream's time to the first payload, and one's own", async () => {
  const edge = await start(async function* () {
    await new Promise((resolve) => setTimeout(resolve, 20));
    yield* answerOf(sse, [["data: 1\n\n"], ["data: [DONE]\n\n"]]);
  });
  const { headers } = await post(`${edge.url}/v1/chat/completions`, { ...chat, stream: true });
  const [, own, upstream] = /^sluice;dur=([\d.]+), upstream;dur=([\d.]+)$/.exec(String(headers["server-timing"])) ?? [];
  assert.equal(upstream, "0.10");
  assert.ok(Number(own) >= 19, own);
});

test("every path reaches the router as its operation", async () => {
  const edge = await start();
  const { CHAT_COMPLETIONS, COMPLETIONS, EMBEDDINGS, MESSAGES, RESPONSES } = Operation;
  const cases: [path: string, body: object, operation: Operation, model: string][] = [
    ["/v1/chat/completions", chat, CHAT_COMPLETIONS, "gpt-4o"],
    ["/chat/completions", chat, CHAT_COMPLETIONS, "gpt-4o"],
    ["/engines/a%2Fb/chat/completions", { messages: chat.messages }, CHAT_COMPLETIONS, "a/b"],
    ["/openai/deployments/azure/gpt/chat/completions?api-version=1", chat, CHAT_COMPLETIONS, "azure/gpt"],
    ["/openai/v1/chat/completions", chat, CHAT_COMPLETIONS, "gpt-4o"],
    ["/openai/responses?api-version=1", { model: "m", input: "i" }, RESPONSES, "m"],
    ["/v1/completions", { model: "m", prompt: "p" }, COMPLETIONS, "m"],
    ["/engines/m/completions", { prompt: "p" }, COMPLETIONS, "m"],
    ["/embeddings", { model: "m", input: "i" }, EMBEDDINGS, "m"],
    ["/v1/responses", { model: "m", input: "i" }, RESPONSES, "m"],
    ["/v1/messages", { ...chat, max_tokens: 1 }, MESSAGES, "gpt-4o"],
  ];
  for (const [path, body, operation, model] of cases) {
    assert.equal((await post(edge.url + path, body)).status, 200, path);
    const request: InferRequest | undefined = edge.inferred.at(-1);
    assert.deepEqual([request?.operation, request?.model], [operation, model], path);
  }
});

test("a stream's head leaves with its first payload, its end when it is recorded", async () => {
  const first = Promise.withResolvers<void>();
  const recorded = Promise.withResolvers<void>();
  const edge = await start(async function* () {
    yield startedEvent(sse);
    await first.promise;
    yield chunkEvent(["data: 1\n\n", "data: 2\n\n"]);
    yield chunkEvent(["data: [DONE]\n\n"], true);
    await recorded.promise;
    yield finishedEvent();
  });
  const headers = { authorization: "Bearer sk-master" };
  const body = JSON.stringify({ ...chat, stream: true });
  let headSeen = false;
  const opening = open(`${edge.url}/v1/chat/completions`, { headers, body }).then((response) => {
    headSeen = true;
    return response;
  });
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.equal(headSeen, false);
  first.resolve();
  const response = await opening;
  assert.equal(response.headers["content-type"], sse);
  assert.equal(response.headers["content-length"], undefined);
  let text = "";
  response.setEncoding("utf8").on("data", (chunk) => {
    text += chunk;
  });
  await until(() => text.includes("data: 2"));
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(text, "data: 1\n\ndata: 2\n\n");
  recorded.resolve();
  await until(() => response.complete);
  assert.equal(text, "data: 1\n\ndata: 2\n\ndata: [DONE]\n\n");
});

const overloaded = upstreamError({
  kind: UpstreamErrorKind.UNAVAILABLE,
  httpStatus: 529,
  provider: "anthropic",
  retryable: true,
  retryAfterMs: 7000,
  message: "Overloaded",
  type: "overloaded_error",
});

test("an error before the head is a status and a body in the dialect", async () => {
  const edge = await start(async function* () {
    if (Math.random() < 2) throw overloaded;
    yield finishedEvent();
  });
  const openai = await post(`${edge.url}/v1/chat/completions`, { ...chat, stream: true });
  assert.equal(openai.status, 529);
  assert.equal(openai.headers["retry-after"], "7");
  const error = { message: "Overloaded", type: "overloaded_error", param: null, code: "529" };
  assert.deepEqual(JSON.parse(openai.text), { error });
  const anthropic = await post(`${edge.url}/v1/messages`, chat, { "x-litellm-call-id": "c-1" });
  assert.equal(anthropic.status, 529);
  assert.deepEqual(JSON.parse(anthropic.text), {
    type: "error",
    error: { type: "overloaded_error", message: "Overloaded" },
    request_id: "c-1",
  });
});

test("an error in a stream is its last event, and never a clean end", async () => {
  const failures: [unknown, RegExp][] = [
    [overloaded, /Overloaded/],
    [new ConnectError("secret", Code.Internal), /Internal error/],
    [undefined, /Internal error/],
  ];
  for (const [failure, said] of failures) {
    const edge = await start(async function* () {
      yield startedEvent(sse);
      yield chunkEvent(["data: 1\n\n"]);
      yield chunkEvent(["data: [DONE]\n\n"], true);
      if (failure !== undefined) throw failure;
    });
    const openai = await post(`${edge.url}/v1/chat/completions`, { ...chat, stream: true });
    assert.equal(openai.status, 200);
    assert.match(openai.text, /^data: 1\n\ndata: \{"error":\{.*\}\}\n\n$/);
    assert.match(openai.text, said);
    assert.ok(!openai.text.includes("secret"));
    const anthropic = await post(`${edge.url}/v1/messages`, { ...chat, stream: true });
    assert.match(anthropic.text, /^data: 1\n\nevent: error\ndata: \{"type":"error",.*\}\n\n$/);
  }
});

test("a whole answer that fails halfway is an error and nothing else", async () => {
  const edge = await start(async function* () {
    yield startedEvent("application/json");
    yield chunkEvent(['{"half":']);
    throw gatewayError(Reason.UNAVAILABLE, "later");
  });
  const answer = await post(`${edge.url}/v1/chat/completions`, chat);
  assert.deepEqual([answer.status, JSON.parse(answer.text).error.message], [503, "later"]);
});

test("a client that hangs up aborts the call at once", async () => {
  for (const stream of [true, false]) {
    let aborted = false;
    const edge = await start(async function* (_, signal) {
      signal.addEventListener("abort", () => {
        aborted = true;
      });
      yield startedEvent(stream ? sse : "application/json");
      yield chunkEvent(["data: 1\n\n"]);
      await new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    });
    const headers = { authorization: "Bearer sk-master" };
    const request = httpRequest(`${edge.url}/v1/chat/completions`, { method: "POST", headers, agent: false });
    request.on("error", () => {}).end(JSON.stringify({ ...chat, stream }));
    await until(() => edge.inferred.length === 1);
    request.destroy();
    await until(() => aborted);
    await until(() => edge.logged.some((line) => line.includes('"status":499')));
    assert.ok(!edge.logged.some((line) => line.includes('"level":"error"')));
  }
});

test("a slow reader holds the call back, and one that never reads is cut off", async () => {
  const piece = `data: ${"x".repeat(60_000)}\n\n`;
  let sent = 0;
  const script: InferScript = async function* (_, signal) {
    yield startedEvent(sse);
    for (; sent < 400 && !signal.aborted; sent += 1) yield chunkEvent([piece]);
    yield chunkEvent(["data: [DONE]\n\n"], true);
    yield finishedEvent();
  };
  const headers = { authorization: "Bearer sk-master" };
  const body = JSON.stringify({ ...chat, stream: true });
  const edge = await start(script);
  const response = await open(`${edge.url}/v1/chat/completions`, { headers, body });
  await new Promise((resolve) => setTimeout(resolve, 150));
  assert.ok(sent < 350, `${sent} pieces were taken from the mesh while nobody read`);
  let length = 0;
  for await (const chunk of response) length += chunk.length;
  assert.equal(length, 400 * piece.length + "data: [DONE]\n\n".length);

  sent = 0;
  const impatient = await start(script, { stalledClientMs: 50 });
  const ignored = await open(`${impatient.url}/v1/chat/completions`, { headers, body });
  await until(() => impatient.logged.some((line) => line.includes('"status":499')));
  ignored.destroy();
});

test("a body over the limit is a 413 that names it, with and without a length", async () => {
  const edge = await start(undefined, { maxBodyBytes: 100_000 });
  const body = JSON.stringify({ ...chat, padding: "x".repeat(5_000_000) });
  const headers = { authorization: "Bearer sk-master" };
  const cases = [
    { ...headers, "content-length": String(body.length) },
    { ...headers, "transfer-encoding": "chunked" },
  ];
  for (const each of cases) {
    const answer = await send(`${edge.url}/v1/chat/completions`, { method: "POST", headers: each, body });
    assert.equal(answer.status, 413);
    assert.match(answer.text, /100000 bytes/);
    assert.equal(answer.headers.connection, "close");
  }
  const anonymous = await send(`${edge.url}/v1/chat/completions`, { method: "POST", body });
  assert.equal(anonymous.status, 401);
  assert.equal(edge.inferred.length, 0);
});

test("bad input", async () => {
  const edge = await start();
  const cases: [body: string, headers: Record<string, string>, message: RegExp][] = [
    ["{", {}, /position 1/],
    ["", {}, /no body/],
    ['"text"', {}, /JSON object/],
    ["{}", {}, /'model' is a required field/],
    ['{"model":"m"}', {}, /'messages' is a required field/],
    [JSON.stringify({ ...chat, guardrails: ["a"] }), {}, /'guardrails' is not supported yet/],
    [JSON.stringify(chat), { "content-encoding": "gzip" }, /content-encoding/],
    [JSON.stringify(chat), { "x-litellm-timeout": "soon" }, /x-litellm-timeout/],
  ];
  for (const [body, headers, message] of cases) {
    const openai = await post(`${edge.url}/v1/chat/completions`, body, headers);
    assert.equal(openai.status, 400, body);
    const { error } = JSON.parse(openai.text);
    assert.match(error.message, message);
    assert.deepEqual([error.type, error.code], ["invalid_request_error", "400"]);
    const anthropic = await post(`${edge.url}/v1/messages`, body, headers);
    assert.equal(JSON.parse(anthropic.text).error.type, "invalid_request_error");
  }
  assert.equal(edge.inferred.length, 0);
});
