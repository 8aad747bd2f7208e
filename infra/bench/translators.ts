import { execFileSync } from "node:child_process";
import { AwsEventStreamSplitter } from "../../services/provider-adapter/aws-eventstream.ts";
import type { Exchange, Provider, ProviderCall } from "../../services/provider-adapter/provider.ts";
import { SseSplitter } from "../../services/provider-adapter/sse.ts";
import type { Said, Wire } from "../../services/provider-adapter/testing/conformance-subject.ts";
import { everyProvider } from "../../services/provider-adapter/testing/every-provider.ts";
import { anthropicWire } from "../../services/provider-adapter/testing/wires/anthropic.ts";
import { converseWire } from "../../services/provider-adapter/testing/wires/converse.ts";
import { geminiWire } from "../../services/provider-adapter/testing/wires/gemini.ts";
import { providerCall } from "../../services/provider-adapter/translate/testing/provider-call.ts";
import { median } from "./statistics.ts";

/**
 * What translation costs by itself, on one core, without a network: events of a translated stream per second, its bytes cut
 * into events included; a long request; the import of all providers. Run it: `node infra/bench/translators.ts`, or with the
 * other scenarios by `npm run bench`.
 */
interface Line {
  readonly what: string;
  readonly figure: string;
  readonly target: string;
  readonly met: boolean;
}

const models: Readonly<Record<string, string>> = {
  anthropic: "claude-sonnet-4-5",
  bedrock: "anthropic.claude-sonnet-4-5-20250929-v1:0",
  cohere: "command-a-03-2025",
  gemini: "gemini-2.5-flash",
  ollama_chat: "qwen3:4b",
};
const providers = await everyProvider();
const streamMs = 1500;
const words = "The quick brown fox jumps over the lazy dog. ".repeat(400);
const said: Said = { text: words, reasoning: "", calls: [], finish: "stop" };

function main(): void {
  const lines = [
    streamLine("anthropic", anthropicWire, 20_000),
    streamLine("gemini", geminiWire, 20_000),
    streamLine("bedrock", converseWire, 10_000),
    ...Object.keys(models).map((id) => requestLine(id)),
    importLine(),
  ];
  const rows = lines.map(
    ({ what, figure, target, met }) => `| ${what} | ${figure} | ${target} | ${met ? "met" : "not met"} |`,
  );
  process.stdout.write(`\n| translation, one core | figure | target | |\n|---|---|---|---|\n${rows.join("\n")}\n`);
}

function providerOf(id: string): Provider {
  const provider = providers.get(id);
  if (provider === undefined) throw new Error(`there is no provider ${id}`);
  return provider;
}

function callOf(id: string, body: object, stream: boolean): ProviderCall {
  return providerCall(JSON.parse(JSON.stringify(body)), {
    model: models[id] ?? "",
    stream,
    baseUrl: "http://127.0.0.1:1",
  });
}

/** One round translates a stream as a network brings it, in pieces of 16 KB. */
function streamLine(id: string, wire: Wire, target: number): Line {
  const events = wire.stream(said, "complete", models[id] ?? "");
  const body = Buffer.concat(events);
  const question = { messages: [{ role: "user", content: "Hello" }], stream: true };
  const round = () => {
    const exchange = providerOf(id).begin(callOf(id, question, true));
    const splitter = splitterOf(exchange);
    let payloads = 0;
    for (let at = 0; at < body.length; at += 16_384) {
      payloads += exchange.decodeEvents(splitter.push(body.subarray(at, at + 16_384))).length;
    }
    return payloads + exchange.finish().length;
  };
  for (let warm = 0; warm < 5; warm += 1) round();
  const began = process.cpuUsage();
  const until = performance.now() + streamMs;
  let chunks = 0;
  while (performance.now() < until) chunks += round();
  const { user, system } = process.cpuUsage(began);
  const rate = (chunks / (user + system)) * 1e6;
  const figure = `${Math.round(rate).toLocaleString("en")} chunks/s`;
  return { what: `${id} stream → chat`, figure, target: `≥ ${target.toLocaleString("en")}`, met: rate >= target };
}

function splitterOf({ framing }: Exchange): SseSplitter | AwsEventStreamSplitter {
  return framing === "aws-eventstream" ? new AwsEventStreamSplitter() : new SseSplitter();
}

/** 400 KB of a conversation with tools, as agents have them. */
function requestLine(id: string): Line {
  const tools = Array.from({ length: 20 }, (_, at) => ({
    type: "function",
    function: { name: `tool_${at}`, parameters: { type: "object", properties: { text: { type: "string" } } } },
  }));
  const messages = Array.from({ length: 80 }, (_, at) => [
    { role: "user", content: words.slice(0, 2400) },
    {
      role: "assistant",
      tool_calls: [{ id: `c${at}`, type: "function", function: { name: "tool_1", arguments: '{"text":"a"}' } }],
    },
    { role: "tool", tool_call_id: `c${at}`, content: words.slice(0, 2400) },
  ]).flat();
  const call = callOf(id, { messages, tools, max_tokens: 1000 }, false);
  const times: number[] = [];
  for (let round = 0; round < 60; round += 1) {
    const began = performance.now();
    providerOf(id).begin(call);
    if (round >= 10) times.push(performance.now() - began);
  }
  const ms = median(times);
  const what = `chat of ${Math.round(call.body.length / 1000)} KB → ${id}`;
  return { what, figure: `${ms.toFixed(2)} ms`, target: "≤ 10 ms", met: ms <= 10 };
}

/**
 * CPU time, the median of fifteen fresh processes whose compile cache is warm as after any first start: the catalog, and
 * what has to be there before the first call of any provider. What every service loads comes before.
 */
function importLine(): Line {
  const folder = new URL("../../services/", import.meta.url).href;
  const script = `
    const { enableCompileCache } = await import("node:module");
    enableCompileCache();
    await import("zod");
    await import("${folder}provider-adapter/upstream.ts");
    await import("${folder}provider-adapter/authorize.ts");
    await import("${new URL("../../gen/sluice/inference/v1/inference_pb.ts", import.meta.url).href}");
    const before = process.cpuUsage();
    const { providerSources } = await import("${folder}provider-adapter/providers/index.ts");
    const { createProviderLookup } = await import("${folder}provider-adapter/provider-lookup.ts");
    createProviderLookup(providerSources());
    const { user, system } = process.cpuUsage(before);
    console.log((user + system) / 1000);`;
  const times = Array.from({ length: 16 }, () =>
    Number(execFileSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" })),
  );
  const ms = median(times.slice(1));
  const what = `import of ${providers.size} providers`;
  return { what, figure: `${ms.toFixed(0)} ms of CPU`, target: "≤ 50 ms", met: ms <= 50 };
}

main();
