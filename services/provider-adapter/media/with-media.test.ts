import assert from "node:assert/strict";
import { after, test } from "node:test";
import { findGatewayError } from "#chassis/errors.ts";
import { type RecordedRequest, startFakeUpstream } from "#chassis/testing/fake-upstream.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { JsonObject } from "../provider.ts";
import { startAdapter } from "../testing/adapter-under-test.ts";
import { bodyObject } from "../translate/testing/provider-call.ts";

const png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ";
const pdf = "%PDF-1.7 words";
const upstream = await startFakeUpstream();
const adapter = startAdapter({ allowPrivateMediaUrls: true, maxMediaBytes: 1000 });
const closed = startAdapter();
const off = startAdapter({ maxMediaBytes: 0 });
after(async () => {
  await upstream.close();
  await Promise.all([adapter.close(), closed.close(), off.close()]);
});

const image = `${upstream.url}/files/a.png`;
const paper = `${upstream.url}/files/b.pdf`;
const note = `${upstream.url}/files/c.txt`;
const dataUrl = `data:image/png;base64,${png}`;

/** The provider answers nothing of use: what it was asked is what is looked at. */
function answer({ url }: RecordedRequest) {
  if (url.endsWith("a.png")) return { body: Buffer.from(png, "base64"), headers: { "content-type": "image/png" } };
  if (url.endsWith("b.pdf")) return { body: pdf, headers: { "content-type": "application/pdf" } };
  if (url.endsWith("c.txt")) return { body: "words", headers: { "content-type": "text/plain" } };
  if (url.endsWith("large")) return { body: Buffer.alloc(990), headers: { "content-type": "image/png" } };
  return { status: 400, body: "{}", headers: { "content-type": "application/json" } };
}

interface Seen {
  readonly files: readonly string[];
  readonly body: JsonObject | undefined;
  readonly problem: string;
}

async function seen(
  provider: string,
  body: JsonObject,
  operation: Operation = Operation.CHAT_COMPLETIONS,
  by = adapter,
  model = "claude-sonnet-4-5",
): Promise<Seen> {
  upstream.answer(answer);
  const before = upstream.requests.length;
  const settings = { aws_region_name: "us-east-1", vertex_project: "p", vertex_location: "global" };
  const secret = JSON.stringify({ aws_access_key_id: "AKIA", aws_secret_access_key: "secret" });
  const sealedCredential = by.seal(provider === "bedrock" ? secret : "a-key");
  const target = { provider, model, baseUrl: upstream.url, settings, sealedCredential };
  const { error } = await by.call({ target, operation, body });
  const requests = upstream.requests.slice(before);
  const asked = requests.find(({ method }) => method === "POST");
  const found = error === undefined ? undefined : findGatewayError(error);
  if (found !== undefined) assert.equal(found.reason, Reason.INVALID_REQUEST);
  return {
    files: requests.filter(({ method }) => method === "GET").map(({ url }) => url),
    body: asked === undefined ? undefined : bodyObject(asked.body),
    problem: found === undefined ? "" : (error?.rawMessage ?? ""),
  };
}

const chat = (...content: JsonObject[]): JsonObject => ({
  model: "m",
  max_tokens: 9,
  messages: [{ role: "user", content }],
});
const imageUrl = (url: string): JsonObject => ({ type: "image_url", image_url: { url, detail: "low" } });
const source = (type: string, url: string): JsonObject => ({ type, source: { type: "url", url } });

test("what stands at an address reaches a provider that wants bytes as bytes", async () => {
  const text = { type: "text", text: "What is it?" };
  const { files, body } = await seen(
    "ollama_chat",
    chat(text, imageUrl(image), { type: "image_url", image_url: image }),
  );
  assert.deepEqual(files, ["/files/a.png"]);
  assert.deepEqual(body?.messages, [{ role: "user", content: "What is it?", images: [png, png] }]);
});

test("in every dialect, for images and documents, in the results of tools too", async () => {
  const { CHAT_COMPLETIONS, MESSAGES, GENERATE_CONTENT } = Operation;
  const file = { type: "file", file: { file_id: paper } };
  const blocks = (...content: JsonObject[]): JsonObject => ({
    model: "m",
    max_tokens: 9,
    messages: [
      { role: "user", content: "a" },
      { role: "assistant", content: [{ type: "tool_use", id: "t", name: "f", input: {} }] },
      { role: "user", content: [{ type: "tool_result", tool_use_id: "t", content }] },
    ],
  });
  const google = (fileUri: string): JsonObject => ({
    contents: [{ role: "user", parts: [{ fileData: { fileUri } }, { text: "a" }] }],
  });
  const cases: [Operation, JsonObject, string, RegExp][] = [
    [
      CHAT_COMPLETIONS,
      chat(imageUrl(image), file),
      "amazon.nova-lite-v1:0",
      /"image":\{"format":"png".*"document":\{"format":"pdf"/,
    ],
    [MESSAGES, chat(source("image", image), source("document", paper)), "amazon.nova-lite-v1:0", /"png".*"pdf"/],
    [MESSAGES, chat(source("document", note)), "amazon.nova-lite-v1:0", /"format":"txt","source":\{"bytes":"d29yZHM="/],
    [MESSAGES, blocks(source("image", image)), "amazon.nova-lite-v1:0", /"toolResult".*"image":\{"format":"png"/],
    [MESSAGES, blocks(source("image", image)), "invoke/anthropic.claude-sonnet-4-5-v1:0", /"media_type":"image\/png"/],
    [GENERATE_CONTENT, google(image), "amazon.nova-lite-v1:0", /"image":\{"format":"png"/],
  ];
  for (const [operation, body, model, expected] of cases) {
    const { body: sent, problem } = await seen("bedrock", body, operation, adapter, model);
    assert.equal(problem, "");
    assert.match(JSON.stringify(sent), expected);
    assert.doesNotMatch(JSON.stringify(sent), /http/);
  }
});

test("a provider that fetches by itself is told the address", async () => {
  const { files, body } = await seen("openai", chat(imageUrl(image)));
  assert.deepEqual(files, []);
  assert.deepEqual(body?.messages, [{ role: "user", content: [imageUrl(image)] }]);
  const https = "https://files.test/a.png";
  const anthropic = await seen("anthropic", chat(imageUrl(https), imageUrl(image)));
  assert.deepEqual(anthropic.files, ["/files/a.png"]);
  assert.match(
    JSON.stringify(anthropic.body),
    /"url":"https:\/\/files\.test\/a\.png".*"base64","media_type":"image\/png"/,
  );
  const moonshot = await seen("moonshot", chat(imageUrl(image)));
  assert.deepEqual(moonshot.body?.messages, [{ role: "user", content: [imageUrl(dataUrl)] }]);
});

test("a request without addresses is sent as it came", async () => {
  const body = chat({ type: "text", text: `see ${image}` }, imageUrl(dataUrl));
  const { files, body: sent } = await seen("moonshot", body);
  assert.deepEqual(files, []);
  assert.deepEqual(sent?.messages, body.messages);
});

test("what cannot be fetched, may not be or is too much refuses the call", async () => {
  const large = (count: number) =>
    chat(...Array.from({ length: count }, (_, at) => imageUrl(`${upstream.url}/files/${at}/large`)));
  const cases: [JsonObject, typeof adapter, RegExp][] = [
    [
      chat(imageUrl(`${upstream.url}/missing`)),
      adapter,
      /^The file at 127\.0\.0\.1:\d+ cannot be used: its server answered 400/,
    ],
    [chat(imageUrl(paper)), adapter, /application\/pdf, which is no image/],
    [chat(imageUrl(image)), closed, /no address on the public internet/],
    [chat(imageUrl(image)), off, /Ollama takes images as base64 data/],
    [large(4), adapter, /larger than 3000 bytes together/],
    [large(21), adapter, /may name 20 files/],
  ];
  for (const [body, by, expected] of cases) {
    const { problem, body: sent } = await seen("ollama_chat", body, Operation.CHAT_COMPLETIONS, by);
    assert.match(problem, expected);
    assert.equal(sent, undefined);
  }
});

test("a preview shows what is fetched", async () => {
  upstream.answer(answer);
  const target = { provider: "ollama_chat", model: "m", baseUrl: upstream.url };
  const body = Buffer.from(JSON.stringify(chat(imageUrl(image))));
  const call = { operation: Operation.CHAT_COMPLETIONS, body, contentType: "application/json", target };
  const shown = await adapter.requests.preview({ call });
  assert.match(Buffer.from(shown.body).toString(), new RegExp(`"images":\\["${png.replaceAll("+", "\\+")}"\\]`));
});

test("a count of tokens counts what is fetched", async () => {
  upstream.answer(answer);
  const before = upstream.requests.length;
  const secret = JSON.stringify({ aws_access_key_id: "AKIA", aws_secret_access_key: "secret" });
  const target = {
    provider: "bedrock",
    model: "anthropic.claude-sonnet-4-5-20250929-v1:0",
    baseUrl: upstream.url,
    settings: { aws_region_name: "us-east-1" },
    sealedCredential: adapter.seal(secret),
  };
  const body = Buffer.from(JSON.stringify(chat(source("image", image))));
  const call = { operation: Operation.MESSAGES, body, contentType: "application/json", target };
  await assert.rejects(adapter.requests.countTokens({ call }));
  const asked = upstream.requests.slice(before);
  assert.deepEqual(
    asked.map(({ method }) => method),
    ["GET", "POST"],
  );
  assert.doesNotMatch(String(asked[1]?.body), /http/);
});
