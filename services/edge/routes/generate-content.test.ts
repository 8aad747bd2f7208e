import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { gatewayError, upstreamError } from "#chassis/errors.ts";
import { Reason, UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { InferRequest } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import { post, send } from "../testing/raw-http.ts";
import {
  answerOf,
  chunkEvent,
  type InferScript,
  type MeshScript,
  startedEvent,
  startTestEdge,
  type TestEdge,
} from "../testing/scripted-mesh.ts";

const edges: TestEdge[] = [];
after(() => Promise.all(edges.map((edge) => edge.stop())));

async function start(infer?: InferScript, script: MeshScript = {}): Promise<TestEdge> {
  const edge = await startTestEdge({ ...script, ...(infer === undefined ? {} : { infer }) });
  edges.push(edge);
  return edge;
}

const sse = "text/event-stream";
const body = {
  contents: [{ role: "user", parts: [{ text: "Hi" }] }],
  generationConfig: { maxOutputTokens: 9, candidateCount: 2 },
};

test("the path names model and stream, whatever the body says", async () => {
  const edge = await start();
  const cases: readonly [path: string, model: string, stream: boolean][] = [
    ["/v1beta/models/gemini-2.5-pro:generateContent", "gemini-2.5-pro", false],
    ["/models/openai/gpt-4o:generateContent", "openai/gpt-4o", false],
    ["/v1/models/a%2Fb:streamGenerateContent?alt=sse", "a/b", true],
    ["/v1beta/models/m:streamGenerateContent", "m", true],
  ];
  for (const [path, model, stream] of cases) {
    assert.equal((await post(edge.url + path, { ...body, stream: !stream })).status, 200, path);
    const request: InferRequest | undefined = edge.inferred.at(-1);
    assert.deepEqual(
      [request?.operation, request?.model, request?.stream],
      [Operation.GENERATE_CONTENT, model, stream],
    );
    assert.deepEqual([request?.shape?.maxOutputTokens, request?.shape?.choices], [9, 2]);
    assert.ok((request?.shape?.inputTokens ?? 0) > 0);
  }
  assert.equal((await send(`${edge.url}/v1beta/models/m:generateContent`, { method: "GET" })).status, 405);
});

test("a stream is events where they are asked for, else one array, in the bytes that came", async () => {
  const events = ['data: {"a":1}\r\n\r\n', 'data: {"b":"é\u2028"}\n\n', ": ping\n\n", 'data:{\ndata:"c":3}\n\n'];
  const edge = await start(async function* () {
    const [first = "", second = "", ...rest] = events;
    yield* answerOf(sse, [[first], [second], rest]);
  });
  const path = `${edge.url}/v1beta/models/m:streamGenerateContent`;
  const asEvents = await post(`${path}?alt=sse&key=x`, body);
  assert.equal(asEvents.headers["content-type"], sse);
  assert.equal(asEvents.text, events.join(""));
  for (const query of ["", "?alt=json"]) {
    const asArray = await post(path + query, body);
    assert.equal(asArray.headers["content-type"], "application/json; charset=UTF-8");
    assert.equal(asArray.text, '[{"a":1},\r\n{"b":"é\u2028"},\r\n{\n"c":3}]\n');
    assert.deepEqual(JSON.parse(asArray.text), [{ a: 1 }, { b: "é\u2028" }, { c: 3 }]);
  }
  const empty = await start(() => answers(answerOf(sse, [[": nothing\n\n"]])));
  assert.deepEqual(JSON.parse((await post(`${empty.url}/models/m:streamGenerateContent`, body)).text), []);
});

async function* answers<T>(events: Iterable<T>): AsyncGenerator<T> {
  yield* events;
}

const details = [{ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: "7s" }];
const tooMany = { error: { code: 429, message: "slow down", status: "RESOURCE_EXHAUSTED", details, secret: 1 } };
const failures: readonly [unknown, number, Record<string, unknown>][] = [
  [
    upstreamError({
      kind: UpstreamErrorKind.RATE_LIMITED,
      httpStatus: 429,
      provider: "gemini",
      retryable: true,
      message: "slow down",
      type: "RESOURCE_EXHAUSTED",
      body: Buffer.from(JSON.stringify(tooMany)),
    }),
    429,
    { status: "RESOURCE_EXHAUSTED", message: "slow down", details },
  ],
  [
    upstreamError({
      kind: UpstreamErrorKind.UNAVAILABLE,
      httpStatus: 529,
      provider: "anthropic",
      retryable: true,
      retryAfterMs: 7000,
      message: "Overloaded",
      type: "overloaded_error",
    }),
    529,
    { status: "UNAVAILABLE", message: "Overloaded", details },
  ],
  [
    gatewayError(Reason.INVALID_REQUEST, "no", { param: "tools" }),
    400,
    {
      status: "INVALID_ARGUMENT",
      message: "no",
      details: [
        {
          "@type": "type.googleapis.com/google.rpc.BadRequest",
          fieldViolations: [{ field: "tools", description: "no" }],
        },
      ],
    },
  ],
  [gatewayError(Reason.PERMISSION_DENIED, "no"), 403, { status: "PERMISSION_DENIED", message: "no" }],
  [gatewayError(Reason.MODEL_NOT_FOUND, "no"), 404, { status: "NOT_FOUND", message: "no" }],
  [
    new ConnectError("secret", Code.Internal),
    500,
    { status: "INTERNAL", message: "Internal error. Quote call id c-1 to whoever runs the gateway." },
  ],
];

test("an error has Google's shape, before an answer and in it", async () => {
  for (const [failure, code, rest] of failures) {
    const error = { code, ...rest };
    const id = { "x-litellm-call-id": "c-1" };
    const before = await start(() => {
      throw failure;
    });
    const answer = await post(`${before.url}/v1beta/models/m:generateContent`, body, id);
    assert.equal(answer.status, code);
    assert.deepEqual(JSON.parse(answer.text), { error });
    const inside = await start(async function* () {
      yield startedEvent(sse);
      yield chunkEvent(['data: {"a":1}\n\n']);
      throw failure;
    });
    const path = `${inside.url}/v1beta/models/m:streamGenerateContent`;
    const events = await post(`${path}?alt=sse`, body, id);
    const [, last = ""] = /^data: \{"a":1\}\n\ndata: (.*)\n\n$/.exec(events.text) ?? [];
    assert.deepEqual(JSON.parse(last), { error });
    assert.deepEqual(JSON.parse((await post(path, body, id)).text), [{ a: 1 }, { error }]);
  }
});

test("bad input", async () => {
  const edge = await start();
  const cases: readonly [unknown, string | undefined][] = [
    ["{", undefined],
    [{}, "contents"],
    [{ contents: "Hi" }, "contents[0]"],
    [{ contents: [1] }, "contents[0]"],
    [{ contents: [], generationConfig: 1 }, "generationConfig"],
    [{ contents: [], generationConfig: { maxOutputTokens: "9" } }, "maxOutputTokens"],
    [{ contents: [], generation_config: { candidate_count: 1.5 } }, "candidate_count"],
  ];
  for (const [wrong, field] of cases) {
    const answer = await post(`${edge.url}/v1beta/models/m:generateContent`, wrong);
    const { error } = JSON.parse(answer.text);
    assert.deepEqual([answer.status, error.code, error.status], [400, 400, "INVALID_ARGUMENT"]);
    assert.equal(error.details?.[0].fieldViolations[0].field, field);
  }
  assert.equal(edge.inferred.length, 0);
});

test("keys: in Google's header, in the query of Google's paths, and in no log line", async () => {
  const edge = await start();
  const path = "/v1beta/models/gpt-4o:generateContent";
  const text = JSON.stringify(body);
  const ask = async (to: string, headers: Record<string, string> = {}) =>
    (await send(edge.url + to, { method: "POST", headers, body: text })).status;
  assert.equal(await ask(path, { "x-goog-api-key": "sk-virtual" }), 200);
  assert.equal(await ask(`${path}?key=sk-virtual`), 200);
  assert.equal(await ask(`${path}?key=sk%2Dvirtual&alt=json`), 200);
  assert.equal(await ask(`${path}?key=sk-virtual`, { "x-goog-api-key": "sk-wrong" }), 401, "a header wins");
  assert.equal(await ask(`${path}?key=`), 401);
  assert.equal(await ask(`${path}?key=sk-wrong`), 401);
  assert.equal(await ask("/v1/chat/completions?key=sk-virtual"), 401);
  assert.equal(await ask("/nowhere?key=sk-virtual"), 404);
  assert.ok(edge.logged.length > 0);
  assert.ok(!edge.logged.some((line) => /sk-(?:virtual|wrong)|sk%2D/.test(line)));
});

test("tokens are counted, of a request as it is or wrapped", async () => {
  const asked: (InferRequest | undefined)[] = [];
  const edge = await start(undefined, {
    requests: {
      countTokens({ call }) {
        asked.push(call);
        return { inputTokens: 12n, estimated: true };
      },
    },
  });
  for (const counted of [body, { generateContentRequest: { model: "models/m", ...body } }]) {
    const answer = await post(`${edge.url}/v1beta/models/m:countTokens`, counted);
    assert.deepEqual(JSON.parse(answer.text), { totalTokens: 12 });
    assert.equal(answer.headers["x-sluice-token-count"], "estimated");
    const call = asked.at(-1);
    assert.deepEqual([call?.operation, call?.model, call?.stream], [Operation.GENERATE_CONTENT, "m", false]);
    assert.ok((call?.shape?.inputTokens ?? 0) > 3);
  }
  assert.equal((await post(`${edge.url}/models/m:countTokens`, {})).status, 400);
});
