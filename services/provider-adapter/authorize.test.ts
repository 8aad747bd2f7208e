import assert from "node:assert/strict";
import { after, test } from "node:test";
import { findUpstreamError } from "#chassis/errors.ts";
import { type Chunking, type ScriptedAnswer, startFakeUpstream } from "#chassis/testing/fake-upstream.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import { type CallSettings, requestOf, startAdapter } from "./testing/adapter-under-test.ts";
import { bedrockFixture, converseException, eventStreamFrame, fixtureFrames } from "./testing/event-stream-frames.ts";

/** Calls to AWS over HTTP: signed, and answered in the binary framing. */
const upstream = await startFakeUpstream();
const adapter = startAdapter({ maxEventBytes: 10_000 });
after(async () => {
  await upstream.close();
  await adapter.close();
});

const secret = "a-secret-access-key-that-must-not-leak";
const keys = { aws_access_key_id: "AKIDEXAMPLE", aws_secret_access_key: secret, aws_session_token: "session" };
const eventStream = { "content-type": "application/vnd.amazon.eventstream" };

function call(answer: ScriptedAnswer, changes: Partial<CallSettings> = {}, credential = JSON.stringify(keys)) {
  upstream.answer(answer);
  return adapter.call({
    stream: true,
    ...changes,
    target: {
      provider: "bedrock",
      model: "us.amazon.nova-lite-v1:0",
      baseUrl: upstream.url,
      settings: { aws_region_name: "eu-west-1" },
      sealedCredential: adapter.seal(credential),
    },
  });
}

test("a signed call and its whole answer", async () => {
  const headers = { "content-type": "application/json" };
  const answer = await call({ headers, body: bedrockFixture("chat.json") }, { stream: false });
  assert.equal(answer.error, undefined);
  assert.equal(JSON.parse(answer.text).choices[0].message.content, "Let me look.");
  const sent = upstream.requests.at(-1);
  assert.equal(sent?.url, "/model/us.amazon.nova-lite-v1%3A0/converse");
  assert.match(String(sent?.headers["x-amz-date"]), /^\d{8}T\d{6}Z$/);
  assert.equal(sent?.headers["x-amz-security-token"], "session");
  const scope = String.raw`Credential=AKIDEXAMPLE/\d{8}/eu-west-1/bedrock/aws4_request`;
  const signed = "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token";
  assert.match(
    String(sent?.headers.authorization),
    new RegExp(`^AWS4-HMAC-SHA256 ${scope}, ${signed}, Signature=[0-9a-f]{64}$`),
  );
});

test("an API key is a bearer token", async () => {
  await call({ headers: eventStream, body: Buffer.concat(fixtureFrames()) }, {}, "an-api-key");
  assert.equal(upstream.requests.at(-1)?.headers.authorization, "Bearer an-api-key");
  assert.equal(upstream.requests.at(-1)?.headers["x-amz-date"], undefined);
});

test("a stream is the same however it comes", async () => {
  const body = Buffer.concat(fixtureFrames());
  const whole = await call({ headers: eventStream, body });
  assert.equal(whole.started?.contentType, "text/event-stream");
  assert.equal(whole.finished?.usage?.outputTokens, 30n);
  assert.deepEqual([whole.lasts.at(-1), whole.payloads.at(-1)], [true, "data: [DONE]\n\n"]);
  const withoutIds = (text: string) => text.replace(/"created":\d+/g, "");
  for (const bytes of [1, 7, 100]) {
    const chunking: Chunking = { bytes };
    const cut = await call({ headers: eventStream, body, chunking });
    assert.equal(withoutIds(cut.text), withoutIds(whole.text));
  }
});

test("a stream that breaks ends in an error", async () => {
  const frames = fixtureFrames();
  const start = frames.slice(0, 9);
  const damaged = Buffer.concat(frames);
  damaged[600] = (damaged[600] ?? 0) ^ 1;
  const cases: readonly [string, Buffer, number, RegExp][] = [
    [
      "an exception",
      Buffer.concat([...start, converseException("throttlingException", "Slow down")]),
      429,
      /Slow down/,
    ],
    ["no end", Buffer.concat(start), 502, /before messageStop/],
    ["half a message", Buffer.concat(frames).subarray(0, 700), 502, /middle of a message/],
    ["damage", damaged, 502, /checksum/],
    ["another protocol", Buffer.from('data: {"a":1}\n\ndata: [DONE]\n\n'), 502, /checksum|damaged/],
    ["nothing", Buffer.alloc(0), 502, /before messageStop/],
  ];
  for (const [name, body, status, message] of cases) {
    const { error, finished } = await call({ headers: eventStream, body });
    const detail = error === undefined ? undefined : findUpstreamError(error);
    assert.equal(detail?.httpStatus, status, name);
    assert.match(detail?.message ?? "", message, name);
    assert.equal(finished, undefined, name);
  }
});

test("what AWS says of a bad signature holds no key", async () => {
  const body = JSON.stringify({ message: `The security token ${secret} is invalid` });
  const headers = { "content-type": "application/json", "x-amzn-errortype": "UnrecognizedClientException:" };
  const { error } = await call({ status: 403, headers, body });
  const detail = error === undefined ? undefined : findUpstreamError(error);
  assert.equal(detail?.httpStatus, 401);
  assert.equal(detail?.message, "The security token … is invalid");
  assert.ok(!Buffer.from(detail?.body ?? []).includes(secret));
  assert.ok(!adapter.logLines.join().includes(secret));
});

const roleAnswer = `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials><AccessKeyId>ROLEKEY</AccessKeyId><SecretAccessKey>role-secret</SecretAccessKey><SessionToken>role-session</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`;

test("calls with a role: it is taken once, and signs everything", async () => {
  const from = upstream.requests.length;
  upstream.answer(({ url }) => {
    if (url === "/") return { headers: { "content-type": "text/xml" }, body: roleAnswer };
    const json = { "content-type": "application/json" };
    if (url.endsWith("/count-tokens")) return { headers: json, body: '{"inputTokens":18}' };
    return { headers: json, body: bedrockFixture("chat.json") };
  });
  const target = {
    provider: "bedrock",
    model: "us.anthropic.claude-sonnet-4-20250514-v1:0",
    baseUrl: upstream.url,
    settings: { aws_region_name: "eu-west-1", aws_role_name: "arn:aws:iam::1:role/r", aws_sts_endpoint: upstream.url },
    sealedCredential: adapter.seal(JSON.stringify(keys)),
  };
  const answers = await Promise.all([adapter.call({ target }), adapter.call({ target })]);
  for (const { error, finished } of answers) assert.deepEqual([error, finished?.usage?.outputTokens], [undefined, 30n]);
  const call = requestOf({ operation: Operation.MESSAGES, target });
  assert.deepEqual((await adapter.requests.countTokens({ call })).inputTokens, 18n);
  const [role, ...signed] = upstream.requests.slice(from);
  assert.equal(new URLSearchParams(role?.body.toString()).get("Action"), "AssumeRole");
  assert.equal(signed.length, 3);
  for (const { headers } of signed) {
    assert.match(String(headers.authorization), /Credential=ROLEKEY\//);
    assert.equal(headers["x-amz-security-token"], "role-session");
  }
});

test("a call of several requests: one answer, in order, or the first failure", async () => {
  const json = { "content-type": "application/json" };
  const settings = (input: string[]) => ({
    operation: Operation.EMBEDDINGS,
    body: { model: "m", input },
    target: {
      provider: "bedrock",
      model: "amazon.titan-embed-text-v2:0",
      baseUrl: upstream.url,
      sealedCredential: adapter.seal("an-api-key"),
    },
  });
  upstream.answer(({ body }) => {
    const { inputText } = JSON.parse(body.toString());
    if (inputText === "bad") return { status: 400, headers: json, body: '{"message":"Malformed input"}' };
    // Later inputs are answered earlier.
    return {
      headers: json,
      body: JSON.stringify({ embedding: [inputText.length], inputTextTokenCount: 2 }),
      delayMs: 20 - inputText.length,
    };
  });
  const inputs = Array.from({ length: 20 }, (_, n) => "x".repeat(n + 1));
  const { text, finished, lasts } = await adapter.call(settings(inputs));
  const vectors = JSON.parse(text).data.map(({ embedding }: { embedding: number[] }) => embedding[0]);
  assert.deepEqual(
    vectors,
    inputs.map(({ length }) => length),
  );
  assert.deepEqual([finished?.usage?.inputTokens, lasts], [40n, [true]]);
  const from = upstream.requests.length;
  const failed = await adapter.call(settings(["bad", ...inputs, ...inputs]));
  const detail = failed.error === undefined ? undefined : findUpstreamError(failed.error);
  assert.deepEqual([detail?.httpStatus, detail?.message, failed.finished], [400, "Malformed input", undefined]);
  assert.ok(upstream.requests.length - from < inputs.length * 2, "the rest is not sent");
});

test("an endpoint of SageMaker's streams its own bytes in frames", async () => {
  const event =
    'data: {"id":"c","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\n';
  const headers = { ":event-type": "PayloadPart", ":message-type": "event" };
  const pieces = [event.slice(0, 30), `${event.slice(30)}data: [DO`, "NE]\n\n"];
  const body = Buffer.concat(pieces.map((piece) => eventStreamFrame(headers, Buffer.from(piece))));
  upstream.answer({ headers: eventStream, body, chunking: { bytes: 11 } });
  const target = {
    provider: "sagemaker_chat",
    model: "e",
    baseUrl: upstream.url,
    sealedCredential: adapter.seal(JSON.stringify(keys)),
  };
  const { text, finished, error } = await adapter.call({ stream: true, target });
  assert.deepEqual([error, text, finished?.usage?.outputTokens], [undefined, `${event}data: [DONE]\n\n`, 2n]);
  const sent = upstream.requests.at(-1);
  assert.equal(sent?.url, "/endpoints/e/invocations-response-stream");
  assert.match(String(sent?.headers.authorization), /\/us-west-2\/sagemaker\/aws4_request/);
});
