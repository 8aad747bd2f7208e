import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, before, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { PrincipalChangedSchema, PrincipalSchema } from "#gen/sluice/auth/v1/principal_pb.ts";
import { post, send } from "./testing/raw-http.ts";
import { answerOf, keyHashOf, startedEvent, startTestEdge, type TestEdge } from "./testing/scripted-mesh.ts";

let edge: TestEdge;
before(async () => {
  edge = await startTestEdge();
});
after(() => edge.stop());

const chat = { model: "gpt-4o", messages: [{ role: "user", content: "hi" }] };

test("public paths need no key", async () => {
  const cases: [path: string, status: number, body: RegExp][] = [
    ["/", 200, /Sluice/],
    ["/health/liveliness", 200, /^"I'm alive!"$/],
    ["/health/liveness", 200, /^"I'm alive!"$/],
    ["/health/readiness", 200, /^\{"status":"healthy","db":"connected"\}$/],
    ["/metrics", 200, /http_server_request_duration/],
    ["/nothing/here", 404, /"type":"not_found_error"/],
    ["/v1/models/%zz", 404, /"code":"404"/],
  ];
  for (const [path, status, body] of cases) {
    const answer = await send(edge.url + path);
    assert.equal(answer.status, status, path);
    assert.match(answer.text, body, path);
    assert.ok(answer.headers["x-litellm-call-id"], path);
  }
  const head = await send(`${edge.url}/health/liveness`, { method: "HEAD" });
  assert.deepEqual([head.status, head.text], [200, ""]);
  assert.equal((await send(`${edge.url}/health/liveness`, { method: "GET", body: "{}" })).status, 200);
});

test("a wrong method says which are right", async () => {
  const answer = await send(`${edge.url}/v1/chat/completions`);
  assert.equal(answer.status, 405);
  assert.equal(answer.headers.allow, "POST, OPTIONS");
  assert.equal(JSON.parse(answer.text).error.code, "405");
  const anthropic = JSON.parse((await send(`${edge.url}/v1/messages`)).text);
  assert.deepEqual([anthropic.type, anthropic.error.type], ["error", "invalid_request_error"]);
});

test("the word Bearer alone is no key", async () => {
  const answer = await send(`${edge.url}/v1/models`, { headers: { authorization: "Bearer" } });
  assert.equal(answer.status, 401);
  assert.equal(JSON.parse(answer.text).error.type, "auth_error");
});

test("browsers may call from anywhere", async () => {
  const headers = { origin: "http://app", "access-control-request-headers": "authorization,x-a" };
  const preflight = await send(`${edge.url}/v1/chat/completions`, { method: "OPTIONS", headers });
  assert.equal(preflight.status, 200);
  assert.equal(preflight.headers["access-control-allow-origin"], "*");
  assert.equal(preflight.headers["access-control-allow-headers"], "authorization,x-a");
  const refused = await send(`${edge.url}/v1/models`, { headers: { origin: "http://app" } });
  assert.equal(refused.headers["access-control-allow-origin"], "*");
});

test("a key is taken from every usual header", async () => {
  const cases: [headers: Record<string, string>, status: number][] = [
    [{ authorization: "Bearer sk-virtual" }, 200],
    [{ authorization: "bearer  sk-virtual " }, 200],
    [{ authorization: "sk-virtual" }, 200],
    [{ "x-api-key": "sk-virtual" }, 200],
    [{ "api-key": "sk-virtual" }, 200],
    [{ "x-goog-api-key": "sk-virtual" }, 200],
    [{ "ocp-apim-subscription-key": "sk-virtual" }, 200],
    [{ "x-litellm-api-key": "sk-virtual", authorization: "Bearer wrong" }, 200],
    [{ "x-litellm-api-key": "Bearer sk-virtual" }, 200],
    [{ authorization: "Bearer wrong", "x-api-key": "sk-virtual" }, 401],
    [{ authorization: "Bearer " }, 401],
    [{}, 401],
  ];
  for (const [headers, status] of cases) {
    assert.equal((await send(`${edge.url}/v1/models`, { headers })).status, status, JSON.stringify(headers));
  }
  const none = JSON.parse((await send(`${edge.url}/v1/models`)).text).error;
  assert.deepEqual([none.type, none.code], ["auth_error", "401"]);
  const unknown = await send(`${edge.url}/v1/models`, { headers: { authorization: "Bearer sk-secret-9" } });
  assert.equal(JSON.parse(unknown.text).error.type, "token_not_found_in_db");
  assert.ok(!unknown.text.includes("secret-9"));
});

test("models", async () => {
  const headers = { authorization: "Bearer sk-virtual" };
  const list = JSON.parse((await send(`${edge.url}/v1/models`, { headers })).text);
  const model = { id: "gpt-4o", object: "model", created: 1_677_610_602, owned_by: "openai" };
  assert.equal(list.object, "list");
  assert.deepEqual(list.data[0], model);
  assert.deepEqual(JSON.parse((await send(`${edge.url}/models/gpt-4o`, { headers })).text), model);
  assert.equal((await send(`${edge.url}/v1/models/mock/echo`, { headers })).status, 200);
  const missing = await send(`${edge.url}/v1/models/none`, { headers });
  assert.deepEqual([missing.status, JSON.parse(missing.text).error.type], [404, "not_found_error"]);
});

test("expired and blocked keys, an auth that is away, and a change", async () => {
  const state = { expired: false, blocked: false, down: false };
  const own = await startTestEdge({
    authenticate() {
      if (state.down) throw new ConnectError("no route to 10.0.0.1", Code.Unavailable);
      const expiresAt = state.expired ? timestampFromMs(Date.now() - 1) : undefined;
      return { principal: create(PrincipalSchema, { blocked: state.blocked, expiresAt }) };
    },
  });
  const headers = { authorization: "Bearer sk-a" };
  const changed = create(PrincipalChangedSchema, { keyIds: [keyHashOf("sk-a")] });
  const ask = async () => {
    const answer = await send(`${own.url}/v1/models`, { headers });
    own.events.publish(PrincipalChangedSchema, changed);
    return {
      status: answer.status,
      type: JSON.parse(answer.text).error?.type,
      headers: answer.headers,
      text: answer.text,
    };
  };
  assert.equal((await ask()).status, 200);
  state.expired = true;
  const expired = await ask();
  assert.deepEqual([expired.status, expired.type], [401, "expired_key"]);
  state.blocked = true;
  assert.equal((await ask()).type, "auth_error");
  state.down = true;
  const down = await ask();
  assert.deepEqual([down.status, down.headers["retry-after"]], [503, "1"]);
  assert.ok(!down.text.includes("10.0.0.1"));
  await own.stop();
});

test("readiness stays 200 without a database and turns 503 when the process is not ready", async () => {
  const cases: [health: () => Promise<{ ready: boolean; db: "connected" | "unavailable" }>, status: number][] = [
    [async () => ({ ready: true, db: "unavailable" }), 200],
    [async () => ({ ready: false, db: "connected" }), 503],
    [() => Promise.reject(new Error("bug")), 200],
    [() => new Promise(() => {}), 200],
  ];
  for (const [health, status] of cases) {
    const own = await startTestEdge({ health });
    assert.equal((await send(`${own.url}/health/readiness`)).status, status);
    await own.stop();
  }
});

test("close lets calls in flight finish and closes connections after their answer", async () => {
  const release = Promise.withResolvers<void>();
  const own = await startTestEdge({
    async *infer() {
      const [started, ...rest] = answerOf("text/event-stream", [["data: 1\n\n"], ["data: [DONE]\n\n"]]);
      if (started !== undefined) yield started;
      for (const event of rest) {
        yield event;
        await release.promise;
      }
    },
  });
  const running = post(`${own.url}/v1/chat/completions`, { ...chat, stream: true });
  while (own.inferred.length === 0) await new Promise((resolve) => setTimeout(resolve, 2));
  let closed = false;
  const closing = own.close().then(() => {
    closed = true;
  });
  const late = await send(`${own.url}/health/readiness`);
  assert.deepEqual([late.status, late.headers.connection], [503, "close"]);
  assert.equal(closed, false);
  release.resolve();
  const answer = await running;
  assert.match(answer.text, /\[DONE\]/);
  await closing;
  await own.stop();
});

test("close cuts what does not end in time", async () => {
  const own = await startTestEdge({
    config: { drainMs: 20 },
    async *infer(_, signal) {
      yield startedEvent("text/event-stream");
      await new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    },
  });
  const running = post(`${own.url}/v1/chat/completions`, chat).catch(() => "cut");
  while (own.inferred.length === 0) await new Promise((resolve) => setTimeout(resolve, 2));
  await own.close();
  assert.equal(await running, "cut");
  await own.stop();
});

test("nothing from outside ends the process", async () => {
  const pieces = [
    "GET / HTTP/1.1\r\n\r\n",
    "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: sk-master\r\ncontent-length: 100\r\n\r\n{",
    "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: sk-master\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    "BREW / HTTP/1.1\r\n\r\n",
    "GET http://[::1/%00/../ HTTP/1.1\r\nhost: a\r\n\r\n",
    "\x00\x01\x02\x03",
  ];
  for (const piece of pieces) {
    await new Promise<void>((resolve) => {
      const socket = connect(edge.port, "127.0.0.1", () => {
        socket.write(piece);
        setTimeout(() => socket.destroy(), 10);
      });
      socket.on("error", () => {}).on("close", () => resolve());
    });
  }
  assert.equal((await post(`${edge.url}/v1/chat/completions`, chat)).status, 200);
  assert.ok(!edge.logged.some((line) => line.includes('"level":"error"')));
});
