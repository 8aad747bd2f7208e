import assert from "node:assert/strict";
import { after, test } from "node:test";
import { findUpstreamError } from "#chassis/errors.ts";
import { type Chunking, type ScriptedAnswer, startFakeUpstream } from "#chassis/testing/fake-upstream.ts";
import { type CallSettings, startAdapter } from "./testing/adapter-under-test.ts";
import { bedrockFixture, converseException, fixtureFrames } from "./testing/event-stream-frames.ts";

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
