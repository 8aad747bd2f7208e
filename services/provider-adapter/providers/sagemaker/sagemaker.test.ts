import assert from "node:assert/strict";
import { test } from "node:test";
import { ConnectError } from "@connectrpc/connect";
import { findUpstreamError } from "#chassis/errors.ts";
import { UpstreamErrorKind as Kind } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange, JsonObject, ProviderCall } from "../../provider.ts";
import { converseException, eventStreamFrame } from "../../testing/event-stream-frames.ts";
import { objectOf, objectsOf, textOf } from "../../translate/json-reading.ts";
import {
  bodyObject,
  payloadObjects,
  providerCall,
  randomNumbers,
  texts,
} from "../../translate/testing/provider-call.ts";
import { sagemaker, sagemakerChat } from "./sagemaker.ts";

const providers = new Map([sagemaker, sagemakerChat].map((provider) => [provider.id, provider]));
const hello: JsonObject = { model: "group", messages: [{ role: "user", content: "Hello" }], max_tokens: 10 };

function begin(id: string, changes: Partial<ProviderCall> = {}, body: JsonObject = hello): Exchange {
  const provider = providers.get(id);
  assert.ok(provider);
  const settings = { aws_region_name: "eu-west-1", ...changes.settings };
  return provider.begin(providerCall(body, { model: "my-endpoint", callId: "call-1", ...changes, settings }));
}

function part(text: string | Uint8Array): Buffer {
  const headers = {
    ":event-type": "PayloadPart",
    ":content-type": "application/octet-stream",
    ":message-type": "event",
  };
  return eventStreamFrame(headers, Buffer.from(text));
}

function contentOf(payloads: readonly Uint8Array[]): string {
  const events = payloadObjects(payloads);
  return events.map(({ choices }) => textOf(objectOf(objectsOf(choices)[0]?.delta).content)).join("");
}

test("addresses, headers and who signs", () => {
  const own = "https://runtime.sagemaker.eu-west-1.amazonaws.com/endpoints/my-endpoint/invocations";
  const cases: readonly [Partial<ProviderCall>, string][] = [
    [{}, own],
    [{ stream: true }, `${own}-response-stream`],
    [{ baseUrl: "http://own" }, "http://own/endpoints/my-endpoint/invocations"],
    [{ baseUrl: "http://own/endpoints/x/invocations" }, "http://own/endpoints/x/invocations"],
    [{ settings: { sagemaker_base_url: "http://own/" } }, "http://own/endpoints/my-endpoint/invocations"],
  ];
  for (const [changes, url] of cases) assert.equal(begin("sagemaker", changes).request.url, url);
  const { request } = begin("sagemaker_chat", { credential: undefined, settings: { model_id: "component-1" } });
  assert.equal(request.headers["x-amzn-sagemaker-inference-component"], "component-1");
  assert.deepEqual(request.awsScope, { region: "eu-west-1", service: "sagemaker" });
});

test("sagemaker_chat passes OpenAI's format through, both ways", () => {
  const tools = [{ type: "function", function: { name: "f", parameters: {} } }];
  const exchange = begin("sagemaker_chat", {}, { ...hello, tools, new_field: 1 });
  assert.deepEqual(bodyObject(exchange.request.body), { ...hello, model: "my-endpoint", tools, new_field: 1 });
  const message = { role: "assistant", content: "Hi" };
  const choices = [{ index: 0, message, finish_reason: "stop" }];
  const answer = Buffer.from(JSON.stringify({ id: "c", choices, usage: { prompt_tokens: 3, completion_tokens: 2 } }));
  assert.equal(exchange.decodeBody(answer), answer);
  assert.deepEqual([exchange.outcome().usage.inputTokens, exchange.outcome().finishReason], [3n, "stop"]);
});

const sse = [
  'data: {"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":"Hé ☃"},"finish_reason":null}]}\n\n',
  'data: {"id":"c","choices":[{"index":0,"delta":{"content":"!"},"finish_reason":null}]}\n\n',
  'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n',
  "data: [DONE]\n\n",
];

const tgi = [
  'data:{"index":1,"token":{"id":1,"text":"Hé ☃","special":false},"generated_text":null,"details":null}\n\n',
  'data:{"index":2,"token":{"id":2,"text":"!","special":false},"generated_text":null,"details":null}\n\n',
  'data:{"index":3,"token":{"id":3,"text":"</s>","special":true},"generated_text":"Hé ☃!","details":{"finish_reason":"eos_token","generated_tokens":3,"input_length":9}}\n\n',
];
const lines = [
  '{"token": {"id": 7, "text": "Hé ☃"}}\n',
  '{"token": {"id": 8, "text": "!"}, "generated_text": "Hé ☃!", "details": {"finish_reason": "length", "generated_tokens": 2}}',
];
const older = ['{"outputs": ["Hé ☃"]}\n', '{"outputs": ["!"]}\n'];

test("a model's own stream may be cut anywhere into parts", () => {
  const random = randomNumbers(3);
  const streams: readonly [id: string, pieces: readonly string[], finish: string][] = [
    ["sagemaker_chat", sse, "stop"],
    ["sagemaker", tgi, "stop"],
    ["sagemaker", lines, "length"],
    ["sagemaker", older, "stop"],
  ];
  for (const [id, pieces, finish] of streams) {
    const bytes = Buffer.from(pieces.join(""));
    for (let round = 0; round < 20; round += 1) {
      const exchange = begin(id, { stream: true });
      const payloads: Uint8Array[] = [];
      for (let at = 0; at < bytes.length; ) {
        const end = round === 0 ? at + 1 : at + 1 + Math.floor(random() * 200);
        payloads.push(...exchange.decodeEvents([part(bytes.subarray(at, end))]));
        at = end;
      }
      payloads.push(...exchange.finish());
      assert.equal(contentOf(payloads), "Hé ☃!", id);
      assert.equal(texts(payloads).at(-1), "data: [DONE]\n\n");
      assert.equal(exchange.outcome().finishReason, finish);
    }
  }
});

test("sagemaker continues a text as Hugging Face's server does", () => {
  const asked = { ...hello, temperature: 0, top_p: 0.9, stop: "|", seed: 1, repetition_penalty: 1.1 };
  const exchange = begin("sagemaker", { stream: true, settings: { hf_model_name: "mistralai/Mistral-7B" } }, asked);
  assert.deepEqual(bodyObject(exchange.request.body), {
    inputs: "<s>[INST] Hello [/INST]\n",
    parameters: { max_new_tokens: 10, temperature: 0.01, top_p: 0.9, stop: ["|"], seed: 1, repetition_penalty: 1.1 },
    stream: true,
  });
  const answers: readonly [JsonObject | JsonObject[], bigint, boolean][] = [
    [[{ generated_text: "Hi" }], 1n, true],
    [
      { generated_text: "Hello\nHi", details: { finish_reason: "length", generated_tokens: 3, input_length: 2 } },
      3n,
      false,
    ],
    [{ generation: "Hi" }, 1n, true],
  ];
  for (const [answer, tokens, estimated] of answers) {
    const whole = begin("sagemaker");
    const told = bodyObject(whole.decodeBody(Buffer.from(JSON.stringify(answer))));
    assert.equal(objectOf(objectsOf(told.choices)[0]?.message).content, "Hi");
    const { usage } = whole.outcome();
    assert.deepEqual([usage.outputTokens, usage.estimated], [tokens, estimated]);
  }
});

test("messages and embeddings", () => {
  const message = begin("sagemaker", { operation: Operation.MESSAGES });
  const told = bodyObject(message.decodeBody(Buffer.from('[{"generated_text":"Hi"}]')));
  assert.deepEqual(told.content, [{ type: "text", text: "Hi" }]);
  const embeddings = begin("sagemaker", { operation: Operation.EMBEDDINGS }, { input: ["a", "b"] });
  assert.deepEqual(bodyObject(embeddings.request.body), { text_inputs: ["a", "b"] });
  const { data } = bodyObject(embeddings.decodeBody(Buffer.from('{"embedding":[[1],[2]]}')));
  assert.deepEqual(
    objectsOf(data).map(({ embedding }) => embedding),
    [[1], [2]],
  );
  assert.throws(() => begin("sagemaker", { operation: Operation.RERANK }), /not this operation/);
});

test("streams that break, and answers that are none", () => {
  const cases: readonly [string, string, readonly Buffer[], number][] = [
    ["an exception", "sagemaker", [part(tgi[0] ?? ""), converseException("ModelStreamError", "Oh")], 424],
    ["an exception", "sagemaker_chat", [part(sse[0] ?? ""), converseException("InternalStreamFailure", "Oh")], 500],
    ["an error of the server", "sagemaker", [part('data:{"error":"out of memory","error_type":"x"}\n\n')], 502],
    ["no end", "sagemaker", [part(tgi[0] ?? "")], 502],
    ["no end", "sagemaker_chat", [part(sse[0] ?? "")], 502],
    ["no JSON", "sagemaker", [part("<html>\n")], 502],
    ["nothing", "sagemaker", [], 502],
  ];
  for (const [name, id, frames, status] of cases) {
    const exchange = begin(id, { stream: true });
    assert.throws(
      () => {
        exchange.decodeEvents(frames);
        exchange.finish();
      },
      (error: unknown) => findUpstreamError(ConnectError.from(error))?.httpStatus === status,
      `${id}, ${name}`,
    );
  }
  for (const answer of ["{}", "<html>", "[]", '{"error":"no"}']) {
    assert.throws(() => begin("sagemaker").decodeBody(Buffer.from(answer)), /SageMaker/);
  }
});

test("errors of the service, and of the model's own server behind it", () => {
  const classify = (status: number, type: string, body: JsonObject) =>
    providers.get("sagemaker")?.classifyError(status, { "x-amzn-errortype": type }, Buffer.from(JSON.stringify(body)));
  const validation = "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096";
  const cases: readonly [ReturnType<typeof classify>, Kind, number, boolean][] = [
    [classify(400, "ValidationError", { Message: "Endpoint my-endpoint not found." }), Kind.BAD_REQUEST, 400, false],
    [classify(403, "AccessDeniedException", { Message: "no" }), Kind.PERMISSION_DENIED, 403, false],
    [classify(403, "ExpiredTokenException", { message: "expired" }), Kind.AUTHENTICATION, 401, false],
    [classify(429, "ThrottlingException", { message: "slow" }), Kind.RATE_LIMITED, 429, true],
    [classify(424, "ModelError", { OriginalStatusCode: 500, OriginalMessage: "oom" }), Kind.INTERNAL, 424, true],
    [
      classify(424, "ModelError", { OriginalStatusCode: 422, OriginalMessage: validation }),
      Kind.CONTEXT_WINDOW,
      422,
      false,
    ],
  ];
  for (const [error, kind, status, retryable] of cases) {
    assert.deepEqual([error?.kind, error?.httpStatus, error?.retryable], [kind, status, retryable], error?.message);
    assert.equal(error?.provider, "sagemaker");
  }
});
