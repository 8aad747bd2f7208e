import assert from "node:assert/strict";
import { after, test } from "node:test";
import { findUpstreamError } from "#chassis/errors.ts";
import { startFakeUpstream } from "#chassis/testing/fake-upstream.ts";
import { type CallSettings, startAdapter } from "./testing/adapter-under-test.ts";

/** Predictions over HTTP: created, looked at, streamed. */
const upstream = await startFakeUpstream();
const adapter = startAdapter();
after(async () => {
  await upstream.close();
  await adapter.close();
});

const json = { "content-type": "application/json" };
const path = "/models/meta/m/predictions";

function call(settings: Partial<CallSettings> = {}, model = "meta/m") {
  const sealedCredential = adapter.seal("r8_key");
  return adapter.call({
    ...settings,
    target: { provider: "replicate", model, baseUrl: upstream.url, sealedCredential },
  });
}

const prediction = (status: string, rest: object = {}) => ({
  headers: json,
  body: JSON.stringify({ id: "p1", status, ...rest }),
});

/** What was asked since the last look, as `METHOD path`. */
function asked(from: number): string[] {
  return upstream.requests.slice(from).map(({ method, url }) => `${method} ${url}`);
}

test("a prediction is looked at until it is made", async () => {
  const from = upstream.requests.length;
  let looks = 0;
  upstream.answer(({ method }) => {
    if (method === "POST") return { ...prediction("starting"), status: 201 };
    looks += 1;
    return looks < 2 ? prediction("processing") : prediction("succeeded", { output: ["Hel", "lo"] });
  });
  const { text, error, finished } = await call();
  assert.equal(error, undefined);
  assert.equal(JSON.parse(text).choices[0].message.content, "Hello");
  assert.equal(finished?.usage?.estimated, true);
  assert.deepEqual(asked(from), [`POST ${path}`, "GET /predictions/p1", "GET /predictions/p1"]);
  const [, look] = upstream.requests.slice(from);
  assert.deepEqual([look?.headers.authorization, look?.body.length], ["Bearer r8_key", 0]);
});

test("a stream is read where the prediction says", async () => {
  const from = upstream.requests.length;
  upstream.answer(({ method }) =>
    method === "POST"
      ? { ...prediction("starting", { urls: { stream: `${upstream.url}/stream/p1` } }), status: 201 }
      : {
          headers: { "content-type": "text/event-stream" },
          body: "event: output\ndata: Hel\n\nevent: output\ndata: lo\n\nevent: done\ndata: {}\n\n",
        },
  );
  const { text, error, lasts } = await call({ stream: true });
  assert.equal(error, undefined);
  assert.match(text, /"content":"Hel".*"content":"lo".*\[DONE\]/s);
  assert.equal(lasts.at(-1), true);
  assert.deepEqual(asked(from), [`POST ${path}`, "GET /stream/p1"]);
});

test("a model without a stream answers a call for one all the same", async () => {
  upstream.answer(({ method }) =>
    method === "POST" ? prediction("starting") : prediction("succeeded", { output: "Hi" }),
  );
  const { payloads, started, error } = await call({ stream: true });
  assert.equal(error, undefined);
  assert.equal(started?.contentType, "text/event-stream");
  assert.match(payloads.join(""), /"content":"Hi".*\[DONE\]/s);
});

test("a failure on the way is the call's", async () => {
  const cases: Readonly<Record<string, readonly [object, number]>> = {
    gone: [{ status: 404, headers: json, body: '{"detail":"gone"}' }, 404],
    failed: [prediction("failed", { error: "out of memory" }), 500],
    moved: [{ status: 302, headers: { location: "/" } }, 502],
    page: [{ headers: json, body: "<html>" }, 502],
  };
  upstream.answer(({ method, url }) => {
    const name = url.split("/").at(method === "POST" ? -2 : -1) ?? "";
    return method === "POST" ? prediction("starting", { id: name }) : (cases[name]?.[0] ?? {});
  });
  const calls = Object.entries(cases).flatMap(([name, [, status]]) =>
    [false, true].map(async (stream) => {
      const { error } = await call({ stream }, `meta/${name}`);
      assert.equal(error === undefined ? undefined : findUpstreamError(error)?.httpStatus, status, name);
    }),
  );
  await Promise.all(calls);
});

test("a call that is aborted is not looked at any more, and stopped at the provider", async () => {
  const leaving = new AbortController();
  const stopped = Promise.withResolvers<void>();
  upstream.answer(({ url }) => {
    if (url.endsWith("/left/cancel")) stopped.resolve();
    else setTimeout(() => leaving.abort(new Error("left")), 20);
    return prediction("processing", { id: "left" });
  });
  const from = upstream.requests.length;
  const { error } = await call({ signal: leaving.signal }, "meta/left");
  assert.ok(error !== undefined);
  await stopped.promise;
  // What went wrong before is stopped at its own time.
  const own = asked(from).filter((request) => request.includes("/left/"));
  assert.deepEqual(own, ["POST /models/meta/left/predictions", "POST /predictions/left/cancel"]);
});
