import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { test } from "node:test";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange, JsonObject, Provider, ProviderCall } from "../provider.ts";
import { everyProvider } from "../testing/every-provider.ts";
import { objectOf, objectsOf, textOf } from "./json-reading.ts";
import { claudeCodeHeaders, claudeCodeRequests, webSearchRequest } from "./testing/claude-code-requests.ts";
import { bodyObject, providerCall } from "./testing/provider-call.ts";

const providers = await everyProvider();

function callOf(body: JsonObject, model: string, changes: Partial<ProviderCall> = {}): ProviderCall {
  const settings = { vertex_project: "p", api_version: "2024-10-21" };
  const headers = { ...claudeCodeHeaders };
  return providerCall(
    { ...body, model },
    { operation: Operation.MESSAGES, stream: true, baseUrl: "https://h.test", settings, headers, model, ...changes },
  );
}

function begin(id: string, model: string, body: JsonObject): Exchange {
  const provider = providers.get(id);
  if (provider === undefined) throw new Error(`there is no ${id}`);
  return provider.begin(callOf(body, model));
}

function chats(provider: Provider): boolean {
  const chat = { messages: [{ role: "user", content: "Hi" }], max_tokens: 5 };
  try {
    provider.begin(callOf(chat, "some-model", { operation: Operation.CHAT_COMPLETIONS }));
    return true;
  } catch {
    return false;
  }
}

/** No place for an agent, by what it refuses of its requests. The mock answers whatever it is sent. */
const unfit: ReadonlyMap<string, RegExp> = new Map([
  ["gigachat", /image_url|stop/],
  ["langflow", /tool/],
  ["langgraph", /tool/],
  ["nlp_cloud", /tool/],
  ["perplexity", /tool/],
  ["replicate", /tool/],
  ["sagemaker", /tool/],
  ["triton", /tool/],
]);

function refusal(id: string, body: JsonObject): string {
  try {
    begin(id, "some-model", body);
    return "";
  } catch (error) {
    return String(error);
  }
}

test("no provider refuses what Claude Code sends to any model", () => {
  const models = ["some-model", "gpt-4o", "gemini-2.0-flash", "claude-3-haiku", "o3"];
  const refused: string[] = [];
  let tried = 0;
  for (const [id, provider] of providers) {
    if (id === "mock" || unfit.has(id) || !chats(provider)) continue;
    for (const model of models) {
      for (const [name, body] of Object.entries(claudeCodeRequests)) {
        tried += 1;
        try {
          provider.begin(callOf(body, model));
        } catch (error) {
          refused.push(`${id}/${model}, ${name}: ${error instanceof Error ? error.message : error}`);
        }
      }
    }
  }
  deepStrictEqual(refused, []);
  for (const [id, reason] of unfit) {
    const bodies = Object.values(claudeCodeRequests);
    ok(
      bodies.some((body) => refusal(id, body).match(reason)),
      id,
    );
  }
  ok(tried > 1000, `${tried} requests were tried`);
});

test("what is Anthropic's alone stays behind", () => {
  for (const [id, model] of [
    ["openai", "gpt-4o"],
    ["openai", "gpt-5"],
    ["mistral", "mistral-large-latest"],
    ["gemini", "gemini-2.5-pro"],
  ] as const) {
    for (const body of Object.values(claudeCodeRequests)) {
      const { request } = begin(id, model, body);
      const sent = Buffer.from(request.body).toString();
      for (const own of [
        "cache_control",
        "context_management",
        "cch=",
        "thinking_20251015",
        "budget_tokens",
        "web_search",
      ]) {
        ok(!sent.includes(own), `${id} was sent ${own}`);
      }
      ok(Object.keys(request.headers).every((name) => !name.startsWith("anthropic-")));
    }
  }
});

test("what has a counterpart is told in other words", () => {
  const first = bodyObject(begin("openai", "gpt-5", claudeCodeRequests["an adaptive one"] ?? {}).request.body);
  strictEqual(first.reasoning_effort, "high");
  deepStrictEqual(objectsOf(first.messages)[0], { role: "system", content: "You are Claude Code.\nBe brief." });
  strictEqual(textOf(first.user).length, 64);
  deepStrictEqual(
    objectsOf(first.tools).map((tool) => objectOf(tool.function).name),
    ["Bash", "mcp__files__read"],
  );
  const later = bodyObject(begin("openai", "gpt-4o", claudeCodeRequests["a later turn"] ?? {}).request.body);
  strictEqual(later.reasoning_effort, undefined);
  strictEqual(later.parallel_tool_calls, false);
  deepStrictEqual(
    objectsOf(later.messages).map(({ role }) => role),
    ["system", "user", "assistant", "tool", "tool", "user"],
  );
  const title = bodyObject(begin("openai", "gpt-4o", claudeCodeRequests["a title"] ?? {}).request.body);
  deepStrictEqual([title.stop, title.temperature, title.tools], [["</title>"], 1, undefined]);
});

test("a search of the web is one where the provider has one, else a refusal that names it", () => {
  const search = bodyObject(begin("gemini", "gemini-2.5-flash", webSearchRequest).request.body);
  deepStrictEqual(search.tools, [{ googleSearch: {} }]);
  throws(() => begin("openai", "gpt-4o", webSearchRequest), /web_search_20250305/);
});

test("tokens are counted of the same requests", () => {
  for (const id of ["anthropic", "gemini"]) {
    for (const body of Object.values(claudeCodeRequests)) {
      const { max_tokens: _, stream: __, ...counted } = body;
      ok(providers.get(id)?.countTokens?.(callOf(counted, "gemini-2.0-flash", { stream: false })) !== undefined);
    }
  }
});
