import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { ConnectError } from "@connectrpc/connect";
import { findGatewayError } from "#chassis/errors.ts";
import { PrincipalSchema } from "#gen/sluice/auth/v1/principal_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { CallerKind, Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import { gatewayFields } from "./gateway-fields.ts";
import { readInferRequest } from "./infer-request.ts";

const principal = create(PrincipalSchema, {
  kind: CallerKind.VIRTUAL_KEY,
  keyId: "k",
  teamId: "t",
  models: ["m"],
  scopes: [{ scope: "key:k" }],
});

const chat: Operation = Operation.CHAT_COMPLETIONS;

function read(body: string, headers: Record<string, string> = {}, pathModel = "", operation = chat) {
  const bytes = Buffer.from(body);
  return readInferRequest({ operation, bytes, headers, pathModel, callId: "call-1", principal });
}

const messages = '"messages":[{"role":"user","content":"hi"}]';

test("the client's bytes go on as they are", () => {
  const body = `{ "model" : "m", ${messages} , "unknown": 12345678901234567890.10, "stream":true }`;
  const request = read(body, {
    "anthropic-beta": "b",
    cookie: "c",
    authorization: "Bearer sk",
    "openai-organization": "o",
  });
  assert.equal(Buffer.from(request.body).toString(), body);
  assert.equal(request.model, "m");
  assert.equal(request.stream, true);
  assert.equal(request.callId, "call-1");
  assert.deepEqual(request.headers, { "anthropic-beta": "b" });
  assert.deepEqual(request.caller?.scopes, principal.scopes);
  assert.equal(request.caller?.teamId, "t");
});

test("the gateway's fields are cut out and read", () => {
  const request = read(
    `{"model":"m",${messages},"x":1,"num_retries":4,"timeout":1.5,"stream_timeout":2,"fallbacks":["a",{"model":"b"}],` +
      `"disable_fallbacks":true,"drop_params":true,"mock_response":"no","tags":["t1"],"cache":{"no-cache":true},` +
      `"metadata":{"tags":["t2"],"trace":1},"litellm_metadata":{"user":"u"},"guardrails":[],"api_base":null,` +
      `"allowed_openai_params":["p"],"litellm_call_id":"mine","additional_drop_params":["max_tokens"],"max_tokens":5,` +
      `"t\\u0069meout":3}`,
  );
  assert.equal(Buffer.from(request.body).toString(), `{"model":"m",${messages},"x":1}`);
  const { options, caller } = request;
  assert.equal(options?.numRetries, 4);
  assert.equal(options?.timeout === undefined ? 0 : durationMs(options.timeout), 3000);
  assert.deepEqual(options?.fallbacks, ["a", "b"]);
  assert.equal(options?.disableFallbacks, true);
  assert.equal(options?.dropParams, true);
  assert.equal(options?.mockResponse, "no");
  assert.deepEqual(options?.allowedOpenaiParams, ["p"]);
  assert.deepEqual(caller?.tags, ["t1", "t2"]);
  assert.equal(caller?.endUser, "u");
  assert.equal(request.callId, "mine");
  assert.equal(request.shape?.maxOutputTokens, undefined, "a dropped limit limits nothing");
});

test("metadata of texts is the provider's", () => {
  const body = `{"model":"m",${messages},"metadata":{"user_id":"u","a":"b"}}`;
  const request = read(body);
  assert.equal(Buffer.from(request.body).toString(), body);
  assert.equal(request.caller?.endUser, "u");
});

test("headers win over the body, the path over the body's model", () => {
  const headers = { "x-litellm-num-retries": "1", "x-litellm-timeout": "2.5", "x-litellm-tags": "a, b,," };
  const request = read(`{"model":"m",${messages},"num_retries":3}`, headers, "from-path");
  assert.equal(request.options?.numRetries, 1);
  assert.deepEqual(request.caller?.tags, ["a", "b"]);
  assert.equal(request.model, "from-path");
});

test("a refused field that is set is a 400 that names it", () => {
  for (const [name, { use }] of gatewayFields) {
    if (use !== "refused") continue;
    assert.ok(read(`{"model":"m",${messages},"${name}":false}`), name);
    assert.equal(failure(`{"model":"m",${messages},"${name}":1}`)?.param, name);
  }
});

test("bad bodies", () => {
  const cases: [body: string, param: string][] = [
    ["", ""],
    ["[]", ""],
    ["null", ""],
    ["5", ""],
    ['{"model":', ""],
    [`{${messages}}`, "model"],
    [`{"model":null,${messages}}`, "model"],
    [`{"model":["a","b"],${messages}}`, "model"],
    [`{"model":"${"m".repeat(600)}",${messages}}`, "model"],
    [`{"model":"m",${messages},"stream":"yes"}`, "stream"],
    [`{"model":"m",${messages},"timeout":-1}`, "timeout"],
    [`{"model":"m",${messages},"timeout":"soon"}`, "timeout"],
    [`{"model":"m",${messages},"num_retries":1e9}`, "num_retries"],
    [`{"model":"m",${messages},"fallbacks":"a"}`, "fallbacks"],
    [`{"model":"m",${messages},"fallbacks":[{"model":"a","messages":[]}]}`, "fallbacks"],
    [`{"model":"m",${messages},"tags":[1]}`, "tags"],
    [`{"model":"m",${messages},"metadata":5}`, "metadata"],
    [`{"model":"m",${messages},"mock_response":{}}`, "mock_response"],
    [`{"model":"m",${messages},"additional_drop_params":["a.b"]}`, "additional_drop_params"],
    [`{"model":"m",${messages},"additional_drop_params":["messages"]}`, "messages"],
    [`{"model":"m",${messages},"timeout":1,"deep":${"[".repeat(20_000)}${"]".repeat(20_000)}}`, ""],
  ];
  for (const [body, param] of cases) {
    const detail = failure(body);
    assert.equal(detail?.reason, Reason.INVALID_REQUEST, body.slice(0, 100));
    assert.equal(detail?.param, param, body.slice(0, 100));
  }
});

test("embeddings come whole, whatever the client asks for", () => {
  const request = read('{"model":"m","input":"hi","stream":true}', {}, "", Operation.EMBEDDINGS);
  assert.equal(request.stream, false);
});

test("names that mean something to JavaScript are only names", () => {
  const body = `{"__proto__":{"stream":true,"n":7},"constructor":1,"toString":2,"model":"m",${messages}}`;
  const request = read(body);
  assert.equal(request.stream, false);
  assert.equal(request.shape?.choices, 1);
  assert.equal(Buffer.from(request.body).toString(), body);
});

function failure(body: string) {
  try {
    read(body);
    return undefined;
  } catch (error) {
    return findGatewayError(ConnectError.from(error));
  }
}
