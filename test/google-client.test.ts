import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  ApiError,
  FinishReason,
  FunctionCallingConfigMode,
  type GenerateContentResponse,
  GoogleGenAI,
  Type,
} from "@google/genai";
import { z } from "zod";
import {
  type FakeUpstream,
  type RecordedRequest,
  type ScriptedAnswer,
  startFakeUpstream,
} from "#chassis/testing/fake-upstream.ts";
import { type GatewayProcess, makeDataDir, removeDataDir, startGatewayProcess } from "./harness/gateway-process.ts";
import {
  completion,
  completionChunk,
  completionEnd,
  type Dialect,
  helloAnswer,
  helloStream,
  jsonAnswer,
  message,
  messageBlock,
  messageStream,
  providerError,
  streamAnswer,
} from "./harness/provider-answers.ts";
import { generateKey, spendRows } from "./harness/spend.ts";

let gateway: GatewayProcess;
let upstream: FakeUpstream;
let dataDir: string;
let key: string;
let google: GoogleGenAI;
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
    SLUICE_LOG: "debug",
  };
  gateway = await startGatewayProcess({ entry: "services/main.ts", env, dataDir });
  key = await generateKey(gateway);
  google = new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl: gateway.url, headers: atOnce } });
});
after(async () => {
  await gateway?.stop();
  await upstream?.close();
  await removeDataDir(dataDir);
});

/** Without retries a provider's failure is there at once. */
const atOnce = { "x-litellm-num-retries": "0" };
const weather = { id: "call_1", name: "weather", args: { city: "Bonn" } };
const thinking = { type: "thinking", thinking: "Bonn, then.", signature: "c2lnbmVk" };
const usageMetadata = { promptTokenCount: 10, candidatesTokenCount: 5, totalTokenCount: 15 };

function geminiResponse(parts: readonly object[], finishReason?: string) {
  const candidates = [{ content: { role: "model", parts }, index: 0, ...(finishReason ? { finishReason } : {}) }];
  return { candidates, usageMetadata, modelVersion: "gemini-2.5-flash-001", responseId: "resp-1" };
}

const embeddings = [
  { object: "embedding", index: 0, embedding: [1, 2] },
  { object: "embedding", index: 1, embedding: [3, 4] },
];
const geminiEvent = (response: object) => `data: ${JSON.stringify(response)}\r\n\r\n`;

/** A provider that greets, asks for the weather where it is given tools, and is content with the result. */
function answerAs({ url, body }: RecordedRequest): ScriptedAnswer {
  const text = body.toString();
  if (/countTokens$/.test(url)) return jsonAnswer({ totalTokens: 21 });
  if (/count_tokens$/.test(url)) return jsonAnswer({ input_tokens: 22 });
  if (url.endsWith(":batchEmbedContents")) return jsonAnswer({ embeddings: [{ values: [1, 2] }, { values: [3, 4] }] });
  if (url.endsWith("/embeddings")) return jsonAnswer({ object: "list", data: embeddings, usage: { prompt_tokens: 2 } });
  const isGemini = url.includes("enerateContent");
  const dialect: Dialect = url.endsWith("/messages") ? "anthropic" : "openai";
  if (text.includes("please fail")) {
    const failure = { error: { code: 429, message: "too fast", status: "RESOURCE_EXHAUSTED" } };
    return jsonAnswer(isGemini ? failure : providerError(dialect, "too fast", "rate_limit_error"), 429);
  }
  const stream = isGemini ? url.includes("alt=sse") : text.includes('"stream":true');
  if (text.includes("break off")) return brokenStream(isGemini, dialect);
  const answered = /"role":"tool"|"tool_result"|"functionResponse"/.test(text);
  const asksForTool = /"tools":\[|"functionDeclarations"/.test(text) && !answered;
  if (isGemini) return geminiAnswer(stream, asksForTool);
  return asksForTool ? toolAnswer(dialect, stream) : helloAnswer(dialect, stream);
}

function brokenStream(isGemini: boolean, dialect: Dialect): ScriptedAnswer {
  const begin = isGemini ? geminiEvent(geminiResponse([{ text: "Hel" }])) : helloStream[dialect][0];
  return streamAnswer(begin, { ending: "cut" });
}

function geminiAnswer(stream: boolean, asksForTool: boolean): ScriptedAnswer {
  const call = { functionCall: weather, thoughtSignature: "c2lnbmVk" };
  const parts = asksForTool ? [call] : [{ text: "Hello" }];
  if (!stream) return jsonAnswer(geminiResponse(parts, "STOP"));
  if (asksForTool) return streamAnswer(geminiEvent(geminiResponse(parts, "STOP")));
  return streamAnswer(
    geminiEvent(geminiResponse([{ text: "Hel" }])) + geminiEvent(geminiResponse([{ text: "lo" }], "STOP")),
  );
}

function toolAnswer(dialect: Dialect, stream: boolean): ScriptedAnswer {
  const { id, name, args } = weather;
  const inputText = JSON.stringify(args);
  if (dialect === "anthropic") {
    if (!stream) return jsonAnswer(message([thinking, { type: "tool_use", id, name, input: args }], "tool_use"));
    const { thinking: thought, signature } = thinking;
    const blocks =
      messageBlock(
        0,
        { type: "thinking", thinking: "", signature: "" },
        { type: "thinking_delta", thinking: thought },
        { type: "signature_delta", signature },
      ) +
      messageBlock(1, { type: "tool_use", id, name, input: {} }, { type: "input_json_delta", partial_json: inputText });
    return streamAnswer(messageStream(blocks, "tool_use"));
  }
  const called = { id, type: "function", function: { name, arguments: inputText } };
  if (!stream) return jsonAnswer(completion({ content: null, tool_calls: [called] }, "tool_calls"));
  const begun = { ...called, index: 0, function: { name, arguments: "" } };
  return streamAnswer(
    completionChunk({ role: "assistant", content: null, tool_calls: [begun] }) +
      completionChunk({ tool_calls: [{ index: 0, function: { arguments: inputText } }] }) +
      completionChunk({}, "tool_calls") +
      completionEnd,
  );
}

function lastSent(): string {
  return upstream.requests.at(-1)?.body.toString() ?? "";
}

const user = (text: string) => ({ role: "user", parts: [{ text }] });
const declaration = {
  name: "weather",
  description: "The weather of a city",
  parameters: { type: Type.OBJECT, properties: { city: { type: Type.STRING } }, required: ["city"] },
};
const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

const models = [
  {
    model: "gemini/gemini-2.5-flash",
    image: `"inlineData":{"mimeType":"image/png","data":"${pixel}"}`,
    schema: '"responseSchema":{"type":"OBJECT"',
    result: '"functionResponse":{"id":"call_1","name":"weather","response":{"output":"Sunny"}}',
    signed: '"thoughtSignature":"c2lnbmVk"',
    tokens: 21,
  },
  {
    model: "gpt-4o",
    image: `"image_url":{"url":"data:image/png;base64,${pixel}"}`,
    schema: '"json_schema":{"name":"answer","schema":{"type":"object"',
    result: '{"role":"tool","tool_call_id":"call_1","content":"Sunny"}',
    signed: "",
    tokens: undefined,
  },
  {
    model: "claude-sonnet-4-6",
    image: `"source":{"type":"base64","media_type":"image/png","data":"${pixel}"}`,
    schema: '"format":{"type":"json_schema","schema":{"type":"object"',
    result: '{"type":"tool_result","tool_use_id":"call_1","content":"Sunny"}',
    signed: JSON.stringify(thinking),
    tokens: 22,
  },
] as const;

for (const expected of models) {
  const { model } = expected;
  describe(`Google's client with ${model}`, () => {
    test("a text, whole", async () => {
      const config = { systemInstruction: "Be brief.", temperature: 0.5, maxOutputTokens: 50, stopSequences: ["END"] };
      const answer = await google.models.generateContent({ model, contents: "Hi", config });
      assert.equal(answer.text, "Hello");
      assert.equal(answer.candidates?.[0]?.finishReason, FinishReason.STOP);
      assert.deepEqual([answer.usageMetadata?.promptTokenCount, answer.usageMetadata?.candidatesTokenCount], [10, 5]);
      assert.ok(answer.modelVersion);
      assert.ok(Number(answer.sdkHttpResponse?.headers?.["x-litellm-response-cost"]) > 0);
      for (const said of ["Be brief.", '["END"]', "50", "0.5"]) assert.ok(lastSent().includes(said), said);
    });

    test("a text, streamed", async () => {
      let text = "";
      let usage: number | undefined;
      let reason: string | undefined;
      for await (const chunk of await google.models.generateContentStream({ model, contents: "Hi" })) {
        text += chunk.text ?? "";
        usage = chunk.usageMetadata?.totalTokenCount ?? usage;
        reason = chunk.candidates?.[0]?.finishReason ?? reason;
      }
      assert.deepEqual([text, usage, reason], ["Hello", 15, "STOP"]);
    });

    for (const streamed of [false, true]) {
      test(`a function's round trip in a chat, ${streamed ? "streamed" : "whole"}`, async () => {
        const config = {
          tools: [{ functionDeclarations: [declaration] }],
          toolConfig: { functionCallingConfig: { mode: FunctionCallingConfigMode.ANY } },
        };
        const chat = google.chats.create({ model, config });
        const ask = async (said: string | { functionResponse: object }) => {
          if (!streamed) return [await chat.sendMessage({ message: said })];
          const chunks: GenerateContentResponse[] = [];
          for await (const chunk of await chat.sendMessageStream({ message: said })) chunks.push(chunk);
          return chunks;
        };
        const calls = (await ask("How is it?")).flatMap(({ functionCalls }) => functionCalls ?? []);
        assert.deepEqual(calls, [weather]);
        const response = { id: "call_1", name: "weather", response: { output: "Sunny" } };
        const texts = (await ask({ functionResponse: response })).map(({ text }) => text ?? "");
        assert.equal(texts.join(""), "Hello");
        assert.ok(lastSent().includes(expected.result), lastSent());
        assert.ok(lastSent().includes(expected.signed), lastSent());
      });
    }

    test("a schema, and an image", async () => {
      await google.models.generateContent({
        model,
        contents: [{ role: "user", parts: [{ inlineData: { mimeType: "image/png", data: pixel } }, { text: "?" }] }],
        config: {
          responseMimeType: "application/json",
          responseSchema: { type: Type.OBJECT, properties: { a: { type: Type.INTEGER } }, required: ["a"] },
        },
      });
      assert.ok(lastSent().includes(expected.image), lastSent());
      assert.ok(lastSent().includes(expected.schema), lastSent());
    });

    test("tokens are counted", async () => {
      const { totalTokens } = await google.models.countTokens({ model, contents: "Hello there" });
      if (expected.tokens === undefined) assert.ok((totalTokens ?? 0) > 3);
      else assert.equal(totalTokens, expected.tokens);
    });

    test("a failure is an error of the client's, before a stream and in it", async () => {
      const failing = google.models.generateContent({ model, contents: "please fail" });
      await assert.rejects(failing, (error) => {
        assert.ok(error instanceof ApiError);
        assert.equal(error.status, 429);
        assert.match(error.message, /too fast/);
        assert.match(error.message, /RESOURCE_EXHAUSTED/);
        return true;
      });
      const broken = async () => {
        for await (const { text } of await google.models.generateContentStream({ model, contents: "break off" })) {
          assert.ok((text ?? "").length > 0);
        }
      };
      await assert.rejects(broken, ApiError);
    });
  });
}

test("models are listed", async () => {
  const names: string[] = [];
  for await (const { name } of await google.models.list()) names.push(name ?? "");
  assert.ok(names.includes("models/mock/echo"), names.join());
  assert.equal((await google.models.get({ model: "mock/echo" })).name, "models/mock/echo");
  await assert.rejects(
    google.models.get({ model: "nope" }),
    (error) => error instanceof ApiError && error.status === 404,
  );
});

test("a stream without alt=sse is one JSON array, and so is its failure", async () => {
  for (const { model } of models) {
    const path = `/v1beta/models/${model}:streamGenerateContent`;
    const answer = await gateway.request(path, { key, body: { contents: [user("Hi")] } });
    assert.equal(answer.headers.get("content-type"), "application/json; charset=UTF-8");
    const elements: { candidates: { content: { parts: { text: string }[] } }[] }[] = JSON.parse(await answer.text());
    const texts = elements.flatMap(({ candidates }) => candidates.flatMap(({ content }) => content.parts));
    assert.equal(texts.map(({ text }) => text).join(""), "Hello");
    const broken = await gateway.request(path, { key, body: { contents: [user("break off")] } });
    const last = JSON.parse(await broken.text()).at(-1);
    assert.deepEqual([last.error.code, last.error.status], [502, "UNAVAILABLE"]);
  }
});

test("a key in the query opens, and stands in no log line", async () => {
  const path = "/models/gpt-4o:generateContent";
  const init = { method: "POST", body: JSON.stringify({ contents: [user("Hi")] }) };
  assert.equal((await fetch(`${gateway.url}${path}?key=${key}`, init)).status, 200);
  const refused = await fetch(`${gateway.url}${path}?key=sk-not-a-key`, init);
  assert.equal(refused.status, 401);
  const { error } = z.object({ error: z.looseObject({}) }).parse(await refused.json());
  assert.deepEqual([error.code, error.status], [401, "UNAUTHENTICATED"]);
  assert.equal(
    (await fetch(`${gateway.url}/v1/chat/completions?key=${key}`, init)).status,
    401,
    "Google's paths alone",
  );
  assert.ok(gateway.output().includes("generateContent"), "requests are logged");
  assert.ok(!gateway.output().includes(key));
  assert.ok(!gateway.output().includes("sk-not-a-key"));
});

test("every answer has left its row", async () => {
  // By model two texts, two round trips of two calls, and a schema; three arrays, and one answer to a key in the query.
  const rows = await spendRows(gateway, key, 3 * 7 + 3 + 1 + 6);
  const succeeded = rows.filter((row) => row.usage_status === "success");
  assert.equal(succeeded.length, 3 * 7 + 3 + 1);
  assert.ok(succeeded.every((row) => row.cost_state === "priced"));
});

for (const model of ["gemini/gemini-embedding-001", "openai/text-embedding-3-small", "mock/echo"]) {
  test(`Google's client embeds with ${model}`, async () => {
    const config = { outputDimensionality: 2 };
    const { embeddings: answered } = await google.models.embedContent({ model, contents: ["a", "b"], config });
    assert.deepEqual(
      answered?.map(({ values }) => values?.length),
      [2, 2],
    );
    if (!model.startsWith("mock/")) assert.deepEqual(answered?.[1]?.values, [3, 4]);
  });
}

test("one text is embedded without a batch, and a wrong request is Google's error", async () => {
  const post = (body: object) =>
    fetch(`${gateway.url}/v1beta/models/mock/echo:embedContent`, {
      method: "POST",
      headers: { "x-goog-api-key": key, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  const answer = await post({ content: { parts: [{ text: "Hello" }] }, outputDimensionality: 3 });
  assert.equal(answer.status, 200);
  const told: { embedding?: { values?: number[] } } = JSON.parse(await answer.text());
  assert.equal(told.embedding?.values?.length, 3);
  const wrong = await post({ contents: "Hello" });
  assert.equal(wrong.status, 400);
  assert.match(await wrong.text(), /'content' must be an object.*INVALID_ARGUMENT/s);
});
