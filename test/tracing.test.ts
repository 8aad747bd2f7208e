import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { type FakeUpstream, startFakeUpstream } from "#chassis/testing/fake-upstream.ts";
import { ChatService } from "#gen/sluice/chat/v1/chat_service_pb.ts";
import { type CollectedSpan, type Collector, startCollector } from "./harness/collector.ts";
import {
  type GatewayProcess,
  makeDataDir,
  meshAvailable,
  removeDataDir,
  startGatewayProcess,
} from "./harness/gateway-process.ts";

/** Traces of real processes, as a collector gets them. */
const placements = [
  ["one process", "services/main.ts"],
  ...(meshAvailable() ? [["the mesh", "services/mesh/local-mesh.ts"] as const] : []),
] as const;

const traceId = "0af7651916cd43dd8448eb211c80319c";
const prompt = "a-prompt-that-no-span-may-hold";
const messages = [{ role: "user", content: prompt }];
const completion = {
  id: "chatcmpl-1",
  object: "chat.completion",
  created: 1,
  model: "gpt-4o-2024-08-06",
  choices: [{ index: 0, message: { role: "assistant", content: "hi" }, finish_reason: "stop" }],
  usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 },
};

interface Rig {
  readonly gateway: GatewayProcess;
  readonly upstream: FakeUpstream;
  readonly collector: Collector;
}

/** Runs work against a gateway and stops it, so that every span has been sent. */
async function withGateway(
  entry: (typeof placements)[number][1],
  env: (collector: Collector) => Record<string, string>,
  work: (rig: Rig) => Promise<void>,
): Promise<Rig> {
  const dataDir = await makeDataDir();
  const collector = await startCollector();
  const body = JSON.stringify(completion);
  const upstream = await startFakeUpstream({ headers: { "content-type": "application/json" }, body });
  const provider = { OPENAI_API_KEY: "sk-canary-provider", OPENAI_BASE_URL: `${upstream.url}/v1` };
  const gateway = await startGatewayProcess({ entry, env: { ...provider, ...env(collector) }, dataDir });
  const rig = { gateway, upstream, collector };
  try {
    await work(rig);
  } finally {
    await gateway.stop();
    await collector.close();
    await upstream.close();
    await removeDataDir(dataDir);
  }
  return rig;
}

function ask(gateway: GatewayProcess, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${gateway.url}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${gateway.masterKey}`, "content-type": "application/json", ...headers },
    body: JSON.stringify({ model: "openai/gpt-4o", messages }),
  });
}

function attributesOf({ attributes }: CollectedSpan): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]));
}

/** The spans of a trace, each below the one before it. */
function chain(spans: readonly CollectedSpan[]): CollectedSpan[] {
  const ids = new Set(spans.map(({ spanId }) => spanId));
  let at = spans.find(({ parentSpanId }) => !ids.has(parentSpanId ?? ""));
  const found: CollectedSpan[] = [];
  while (at !== undefined) {
    const { spanId } = at;
    found.push(at);
    at = spans.find(({ parentSpanId }) => parentSpanId === spanId);
  }
  return found;
}

for (const [placement, entry] of placements) {
  describe(`tracing, ${placement}`, () => {
    test("a call is one trace, from its client to its provider", async () => {
      const settings = { OTEL_EXPORTER_OTLP_HEADERS: "x-key=a%20b", SLUICE_TRACE_UPSTREAM: "true" };
      const env = (collector: Collector) => ({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, ...settings });
      const { collector, upstream } = await withGateway(entry, env, async ({ gateway }) => {
        const response = await ask(gateway, { traceparent: `00-${traceId}-b7ad6b7169203331-01`, tracestate: "a=1" });
        assert.equal(response.status, 200, await response.text());
        const notSampled = await ask(gateway, { traceparent: `00-${"1".repeat(32)}-b7ad6b7169203331-00` });
        assert.equal(notSampled.status, 200);
        const chat = createClient(ChatService, createGrpcTransport({ baseUrl: gateway.url }));
        const typed = [{ role: "user", content: { case: "text" as const, value: prompt } }];
        const headers = { authorization: `Bearer ${gateway.masterKey}` };
        for await (const _ of chat.streamChatCompletion(
          { chat: { model: "mock/echo", messages: typed } },
          { headers },
        ));
      });
      const [http, router, adapter, ...more] = chain(collector.spans.filter((span) => span.traceId === traceId));
      assert.ok(http && router && adapter);
      assert.deepEqual(more, []);
      assert.equal(http.parentSpanId, "b7ad6b7169203331");
      assert.equal(http.name, "POST");
      assert.equal(attributesOf(http)["http.response.status_code"], 200);
      assert.equal(router.name, "chat openai/gpt-4o");
      assert.equal(adapter.name, "chat gpt-4o");
      assert.partialDeepStrictEqual(attributesOf(adapter), {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 5,
      });
      assert.equal(upstream.requests[0]?.headers.traceparent, `00-${traceId}-${adapter.spanId}-01`);
      assert.equal(upstream.requests[0]?.headers.tracestate, "a=1");
      assert.ok(collector.spans.every((span) => span.traceId !== "1".repeat(32)));
      const typed = collector.spans.find(({ name }) => name === "StreamChatCompletion");
      assert.deepEqual(
        chain(collector.spans.filter((span) => span.traceId === typed?.traceId)).map(({ name }) => name),
        ["StreamChatCompletion", "chat mock/echo", "chat echo"],
      );
      assert.equal(collector.headers[0]?.["x-key"], "a b");
      const all = collector.bodies.join("");
      assert.doesNotMatch(all, /a-prompt-that|sk-canary/);
      assert.match(all, /"service.name".{0,30}"sluice"/);
    });
  });
}

test("a failed call is a failed span that tells nothing of it", async () => {
  const env = (collector: Collector) => ({ OTEL_EXPORTER_OTLP_ENDPOINT: `${collector.url}/` });
  const { collector, upstream } = await withGateway("services/main.ts", env, async (rig) => {
    rig.upstream.answer({ status: 400, body: JSON.stringify({ error: { message: prompt } }) });
    assert.equal((await ask(rig.gateway)).status, 400);
  });
  const failed = collector.spans.filter(({ status }) => status.code === 2);
  assert.deepEqual(failed.map((span) => attributesOf(span)["error.type"]).sort(), ["bad_request", "bad_request"]);
  assert.doesNotMatch(collector.bodies.join(""), /a-prompt-that/);
  assert.equal(upstream.requests[0]?.headers.traceparent, undefined);
});

test("a collector that is away costs nothing but the spans", async () => {
  const env = () => ({ OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:9" });
  await withGateway("services/main.ts", env, async ({ gateway }) => {
    assert.equal((await ask(gateway)).status, 200);
  });
});
