import assert from "node:assert/strict";
import { after, test } from "node:test";
import { ConnectError } from "@connectrpc/connect";
import { findGatewayError } from "#chassis/errors.ts";
import { type ScriptedAnswer, startFakeUpstream } from "#chassis/testing/fake-upstream.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { readEnv } from "../config.ts";
import { createMediaFetcher } from "./media-fetcher.ts";
import type { MediaKind } from "./media-file.ts";

const png = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ", "base64");
const server = await startFakeUpstream();
const port = new URL(server.url).port;
/** The machine itself plays the public internet; another of its addresses plays an inner one. */
const fetcher = createMediaFetcher({ ...readEnv({}), maxMediaBytes: 1000, idleTimeoutMs: 300 }, (address) =>
  ["127.0.0.1", "::1"].includes(address),
);
const strict = createMediaFetcher(readEnv({}));
const open = createMediaFetcher(readEnv({ SLUICE_ALLOW_PRIVATE_MEDIA_URLS: "true" }));
after(async () => {
  await server.close();
  await Promise.all([fetcher.close(), strict.close(), open.close()]);
});

const never = new AbortController().signal;
const of = (type: string, more: ScriptedAnswer = {}): ScriptedAnswer => ({
  body: png,
  headers: { "content-type": type },
  ...more,
});

async function problem(address: string, kind: MediaKind = "image", by = fetcher): Promise<string> {
  try {
    const { type } = await by.fetch(address, kind, never);
    return `fetched ${type}`;
  } catch (error) {
    const found = ConnectError.from(error);
    assert.equal(findGatewayError(found)?.reason, Reason.INVALID_REQUEST, String(error));
    return found.rawMessage;
  }
}

test("a file comes with the type that its bytes, its server or its name tell", async () => {
  const cases: [ScriptedAnswer, string, MediaKind, string][] = [
    [of("image/png"), "/a", "image", "image/png"],
    [of("text/html"), "/a.html", "image", "image/png"],
    [of("application/octet-stream", { body: "x" }), "/photo.JPG?size=1#top", "image", "image/jpeg"],
    [of("image/jpg; charset=x", { body: "x" }), "/a", "image", "image/jpeg"],
    [of("text/plain;charset=utf-8", { body: "words" }), "/a", "file", "text/plain"],
    [of("application/octet-stream", { body: "%PDF-1.7" }), "/a", "file", "application/pdf"],
    [of("audio/mpeg", { body: "x" }), "/a", "audio", "audio/mpeg"],
  ];
  for (const [answer, path, kind, type] of cases) {
    server.answer(answer);
    const file = await fetcher.fetch(`${server.url}${path}`, kind, never);
    assert.equal(file.type, type);
    assert.deepEqual(Buffer.from(file.bytes), Buffer.from(answer.body ?? ""));
  }
  const sent = server.requests.at(-1);
  assert.deepEqual(
    [sent?.method, sent?.headers["user-agent"], sent?.headers.authorization],
    ["GET", "sluice", undefined],
  );
});

test("what cannot be used is said, with the host alone", async () => {
  const cases: [ScriptedAnswer, RegExp][] = [
    [of("text/html", { body: "<p>log in" }), /of type text\/html, which is no image/],
    [of("application/pdf"), /^fetched image\/png/],
    [of("", { body: "?" }), /type is unknown/],
    [of("image/png", { body: "" }), /is empty/],
    [of("image/png", { status: 403 }), /answered 403/],
    [of("image/png", { status: 204, body: "" }), /answered 204/],
    [of("image/png", { body: Buffer.alloc(2000) }), /larger than 1000 bytes/],
    [of("image/png", { body: Buffer.alloc(5000), chunking: { bytes: 100 } }), /larger than 1000 bytes/],
    [{ instead: "cut" }, /cannot be reached/],
    [{ instead: "hang" }, /is silent/],
    [of("image/png", { ending: "hang", chunking: "whole" }), /is silent/],
  ];
  for (const [answer, expected] of cases) {
    server.answer(answer);
    const said = await problem(`${server.url}/secret-path?token=secret`);
    assert.match(said, expected);
    assert.doesNotMatch(said, /secret/);
    if (!said.startsWith("fetched"))
      assert.match(said, new RegExp(`^The file at 127\\.0\\.0\\.1:${port} cannot be used: `));
  }
  for (const address of ["ftp://x.test/a", "file:///etc/passwd", `${server.url}/${"a".repeat(9000)}`]) {
    assert.match(await problem(address), /address is/);
  }
});

test("inner addresses are refused, however they are written", async () => {
  server.answer(of("image/png"));
  const before = server.connections;
  const hosts = ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"];
  for (const host of [...hosts, "169.254.169.254", "10.0.0.1"]) {
    assert.match(await problem(`http://${host}:${port}/`, "image", strict), /no address on the public internet/, host);
  }
  assert.match(await problem("http://nowhere.invalid/", "image", strict), /no address on the public internet/);
  assert.equal(server.connections, before);
  assert.equal(await problem(`${server.url}/`, "image", open), "fetched image/png");
  assert.equal(await problem(`http://localhost:${port}/`), "fetched image/png");
});

test("a redirect is followed as far as it leads to what may be fetched", async () => {
  const to = (location: string): ScriptedAnswer => ({ status: 302, headers: { location } });
  const cases: [string, RegExp][] = [
    ["/there", /^fetched/],
    [`http://127.0.0.2:${port}/inner`, /no address on the public internet/],
    ["file:///etc/passwd", /none of http or https/],
    ["http://", /redirected to no address/],
    ["/again", /more than 5 times/],
  ];
  for (const [location, expected] of cases) {
    server.answer(({ url }) => (url === "/there" ? of("image/png") : to(location)));
    assert.match(await problem(`${server.url}/again`), expected);
  }
  assert.ok(server.requests.every(({ url }) => url !== "/inner"));
});

test("a call that is aborted waits for no file", async () => {
  server.answer({ instead: "hang" });
  const controller = new AbortController();
  const fetching = fetcher.fetch(`${server.url}/a`, "image", controller.signal);
  controller.abort(new Error("gone"));
  await assert.rejects(fetching, /gone/);
});
