import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { z } from "zod";
import {
  type FakeUpstream,
  type RecordedRequest,
  type ScriptedAnswer,
  startFakeUpstream,
} from "#chassis/testing/fake-upstream.ts";
import {
  claudeCodeHeaders,
  claudeCodeRequests,
  webSearchRequest,
} from "../services/provider-adapter/translate/testing/claude-code-requests.ts";
import { type GatewayProcess, makeDataDir, removeDataDir, startGatewayProcess } from "./harness/gateway-process.ts";
import { helloAnswer, jsonAnswer, streamAnswer } from "./harness/provider-answers.ts";

let gateway: GatewayProcess;
let upstream: FakeUpstream;
let dataDir: string;
before(async () => {
  dataDir = await makeDataDir();
  upstream = await startFakeUpstream(answerAs);
  const env = {
    OPENAI_API_KEY: "sk-provider",
    OPENAI_BASE_URL: `${upstream.url}/v1`,
    ANTHROPIC_API_KEY: "sk-ant-provider",
    ANTHROPIC_BASE_URL: upstream.url,
    GEMINI_API_KEY: "gemini-provider",
    GEMINI_API_BASE: upstream.url,
  };
  gateway = await startGatewayProcess({ entry: "services/main.ts", env, dataDir });
});
after(async () => {
  await gateway?.stop();
  await upstream?.close();
  await removeDataDir(dataDir);
});

const usageMetadata = { promptTokenCount: 10, candidatesTokenCount: 5, totalTokenCount: 15 };
const candidate = { content: { role: "model", parts: [{ text: "Hello" }] }, finishReason: "STOP", index: 0 };
const response = { candidates: [candidate], usageMetadata, modelVersion: "gemini", responseId: "r" };

function answerAs({ url, body }: RecordedRequest): ScriptedAnswer {
  if (url.endsWith("count_tokens")) return jsonAnswer({ input_tokens: 21 });
  if (url.endsWith("countTokens")) return jsonAnswer({ totalTokens: 22 });
  if (url.includes("GenerateContent")) return streamAnswer(`data: ${JSON.stringify(response)}\n\n`);
  const stream = body.toString().includes('"stream":true');
  return helloAnswer(url.includes("/messages") ? "anthropic" : "openai", stream);
}

/** As Claude Code does: the key as a bearer, and `beta` in the query. */
function ask(path: string, body?: object): Promise<Response> {
  const headers = {
    ...claudeCodeHeaders,
    authorization: `Bearer ${gateway.masterKey}`,
    "content-type": "application/json",
  };
  return fetch(
    `${gateway.url}${path}`,
    body === undefined ? { headers } : { method: "POST", headers, body: JSON.stringify(body) },
  );
}

const models = ["gpt-4o", "gpt-5", "gemini/gemini-2.5-flash", "gemini/gemini-2.0-flash", "claude-sonnet-4-6"];

for (const model of models) {
  test(`Claude Code's requests to ${model} are answered`, async () => {
    for (const [name, request] of Object.entries(claudeCodeRequests)) {
      const answer = await ask("/v1/messages?beta=true", { ...request, model });
      const text = await answer.text();
      assert.equal(answer.status, 200, `${name}: ${text}`);
      assert.match(text, /"text_delta","text":"Hello"/, name);
      assert.match(text, /event: message_stop/, name);
      const { max_tokens: _limit, stream: _stream, ...counted } = request;
      const count = await ask("/v1/messages/count_tokens?beta=true", { ...counted, model });
      const tokens = z.object({ input_tokens: z.number().min(10) }).safeParse(await count.json());
      assert.ok(tokens.success, `${name}: ${tokens.error}`);
    }
  });
}

test("to Anthropic everything passes, betas and all", async () => {
  const request = { ...claudeCodeRequests["a first turn"], model: "claude-sonnet-4-6" };
  await (await ask("/v1/messages?beta=true", request)).text();
  const sent = upstream.requests.at(-1);
  assert.deepEqual(JSON.parse(sent?.body.toString() ?? ""), request);
  assert.equal(sent?.headers["anthropic-beta"], claudeCodeHeaders["anthropic-beta"]);
});

test("a search of the web that nobody can do is refused in Anthropic's words", async () => {
  const refused = await ask("/v1/messages?beta=true", { ...webSearchRequest, model: "gpt-4o" });
  const body = z.object({ type: z.literal("error"), error: z.looseObject({ type: z.string(), message: z.string() }) });
  const { error } = body.parse(await refused.json());
  assert.deepEqual([refused.status, error.type], [400, "invalid_request_error"]);
  assert.match(error.message, /web_search_20250305/);
});

test("models are listed in Anthropic's shape to its clients, in OpenAI's to others", async () => {
  const model = z.strictObject({
    type: z.literal("model"),
    id: z.string(),
    display_name: z.string(),
    created_at: z.iso.datetime(),
  });
  const list = z.strictObject({
    data: z.array(model).min(1),
    has_more: z.literal(false),
    first_id: z.string(),
    last_id: z.string(),
  });
  const { data, first_id } = list.parse(await (await ask("/v1/models?limit=1000")).json());
  assert.equal(first_id, data[0]?.id);
  model.parse(await (await ask("/v1/models/mock/echo")).json());
  const plain = z.looseObject({ object: z.literal("list") });
  plain.parse(await (await gateway.request("/v1/models")).json());
});
