import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI, { AzureOpenAI } from "openai";
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
let openai: OpenAI;
let anthropic: Anthropic;
before(async () => {
  dataDir = await makeDataDir();
  upstream = await startFakeUpstream(answerAs);
  const env = {
    OPENAI_API_KEY: "sk-provider",
    OPENAI_BASE_URL: `${upstream.url}/v1`,
    ANTHROPIC_API_KEY: "sk-ant-provider",
    ANTHROPIC_BASE_URL: upstream.url,
  };
  gateway = await startGatewayProcess({ entry: "services/main.ts", env, dataDir });
  key = await generateKey(gateway);
  openai = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: key, maxRetries: 0 });
  anthropic = new Anthropic({ baseURL: gateway.url, apiKey: key, maxRetries: 0 });
});
after(async () => {
  await gateway?.stop();
  await upstream?.close();
  await removeDataDir(dataDir);
});

const weatherCall = { id: "call_1", name: "weather", input: { city: "Bonn" } };
const inputText = JSON.stringify(weatherCall.input);

/** A provider that greets, asks for the weather where it is given tools, and is content with the result. */
function answerAs({ url, body }: RecordedRequest): ScriptedAnswer {
  const text = body.toString();
  const stream = text.includes('"stream":true');
  if (url.endsWith("/embeddings")) return jsonAnswer(embeddings);
  if (url.endsWith("/responses")) return stream ? streamAnswer(responseStream) : jsonAnswer(response);
  const dialect: Dialect = url.endsWith("/messages") ? "anthropic" : "openai";
  if (text.includes("please fail")) return jsonAnswer(providerError(dialect, "too fast", "rate_limit_error"), 429);
  const asksForTool = text.includes('"tools":[') && !/"role":"tool"|"tool_result"/.test(text);
  return asksForTool ? toolAnswer(dialect, stream) : helloAnswer(dialect, stream);
}

function toolAnswer(dialect: Dialect, stream: boolean): ScriptedAnswer {
  const { id, name, input } = weatherCall;
  if (dialect === "anthropic") {
    if (!stream) return jsonAnswer(message([{ type: "tool_use", id, name, input }], "tool_use"));
    const deltas = ['{"city":', '"Bonn"}'].map((part) => ({ type: "input_json_delta", partial_json: part }));
    return streamAnswer(
      messageStream(messageBlock(0, { type: "tool_use", id, name, input: {} }, ...deltas), "tool_use"),
    );
  }
  const called = { id, type: "function", function: { name, arguments: inputText } };
  if (!stream) return jsonAnswer(completion({ content: null, tool_calls: [called] }, "tool_calls"));
  const begun = { ...called, index: 0, function: { name, arguments: "" } };
  return streamAnswer(
    completionChunk({ role: "assistant", content: null, tool_calls: [begun] }) +
      completionChunk({ tool_calls: [{ index: 0, function: { arguments: '{"city":' } }] }) +
      completionChunk({ tool_calls: [{ index: 0, function: { arguments: '"Bonn"}' } }] }) +
      completionChunk({}, "tool_calls") +
      completionEnd,
  );
}

const embeddings = {
  object: "list",
  model: "text-embedding-3-small",
  data: [{ object: "embedding", index: 0, embedding: [0.5, 0.25] }],
  usage: { prompt_tokens: 2, total_tokens: 2 },
};
const response = {
  id: "resp_1",
  object: "response",
  created_at: 1,
  status: "completed",
  model: "gpt-4o",
  output: [
    {
      id: "msg_1",
      type: "message",
      role: "assistant",
      status: "completed",
      content: [{ type: "output_text", text: "Hello", annotations: [] }],
    },
  ],
  usage: { input_tokens: 10, output_tokens: 5, total_tokens: 15 },
};
const responseEvent = (type: string, sequence: number, members: object) =>
  `event: ${type}\ndata: ${JSON.stringify({ type, sequence_number: sequence, ...members })}\n\n`;
const responseStream =
  responseEvent("response.created", 0, { response: { ...response, status: "in_progress", output: [] } }) +
  responseEvent("response.output_text.delta", 1, {
    item_id: "msg_1",
    output_index: 0,
    content_index: 0,
    delta: "Hello",
  }) +
  responseEvent("response.completed", 2, { response });

const schema = { type: "object" as const, properties: { city: { type: "string" } }, required: ["city"] };
/** Without retries a provider's failure is there at once. */
const atOnce = { headers: { "x-litellm-num-retries": "0" } };
const hi = { role: "user" as const, content: "Hi" };

/** The last request a provider got, as far as the tests look at it. */
function lastSent() {
  const sent = z.looseObject({
    model: z.string(),
    messages: z.array(z.unknown()),
    tools: z.array(z.unknown()).optional(),
  });
  return sent.parse(JSON.parse(upstream.requests.at(-1)?.body.toString() ?? "{}"));
}

/** What the result of a tool looks like when a provider gets it. */
const toolResults: Readonly<Record<Dialect, RegExp>> = {
  openai:
    /\{"role":"tool","tool_call_id":"call_1","content":"Sunny"\}|\{"tool_call_id":"call_1","role":"tool","content":"Sunny"\}/,
  anthropic: /"type":"tool_result".*"tool_use_id":"call_1"|"tool_use_id":"call_1".*"type":"tool_result"/,
};

const models = [
  ["gpt-4o", "openai"],
  ["claude-sonnet-4-6", "anthropic"],
] as const;

for (const [model, provider] of models) {
  describe(`the openai client with ${model}`, () => {
    const tools = [{ type: "function" as const, function: { name: "weather", parameters: schema } }];

    test("a chat, whole", async () => {
      const { data, response: raw } = await openai.chat.completions.create({ model, messages: [hi] }).withResponse();
      assert.equal(data.object, "chat.completion");
      assert.equal(data.choices[0]?.message.content, "Hello");
      assert.equal(data.choices[0]?.finish_reason, "stop");
      assert.deepEqual([data.usage?.prompt_tokens, data.usage?.completion_tokens], [10, 5]);
      assert.ok(Number(raw.headers.get("x-litellm-response-cost")) > 0);
      assert.equal(lastSent().model, model);
    });

    test("a chat, streamed", async () => {
      const stream = openai.chat.completions.stream({ model, messages: [hi], stream_options: { include_usage: true } });
      const whole = await stream.finalChatCompletion();
      assert.equal(whole.choices[0]?.message.content, "Hello");
      assert.equal(whole.choices[0]?.finish_reason, "stop");
      assert.equal(whole.usage?.total_tokens, 15);
    });

    for (const streamed of [false, true]) {
      test(`a tool's round trip, ${streamed ? "streamed" : "whole"}`, async () => {
        const asked = { model, messages: [hi], tools };
        const first = streamed
          ? await openai.chat.completions.stream(asked).finalChatCompletion()
          : await openai.chat.completions.create(asked);
        const [choice] = first.choices;
        assert.equal(choice?.finish_reason, "tool_calls");
        const call = choice.message.tool_calls?.[0];
        assert.ok(call?.type === "function");
        assert.deepEqual([call.id, call.function.name], ["call_1", "weather"]);
        assert.deepEqual(JSON.parse(call.function.arguments), weatherCall.input);
        const result = { role: "tool" as const, tool_call_id: call.id, content: "Sunny" };
        const second = await openai.chat.completions.create({ ...asked, messages: [hi, choice.message, result] });
        assert.equal(second.choices[0]?.message.content, "Hello");
        assert.match(JSON.stringify(lastSent().messages), toolResults[provider]);
      });
    }
  });

  describe(`the anthropic client with ${model}`, () => {
    const tools = [{ name: "weather", input_schema: schema }];

    test("a message, whole", async () => {
      const { data, response: raw } = await anthropic.messages
        .create({ model, max_tokens: 50, messages: [hi] })
        .withResponse();
      assert.equal(data.type, "message");
      assert.deepEqual(
        data.content.map((block) => block.type === "text" && block.text),
        ["Hello"],
      );
      assert.equal(data.stop_reason, "end_turn");
      assert.deepEqual([data.usage.input_tokens, data.usage.output_tokens], [10, 5]);
      assert.ok(Number(raw.headers.get("x-litellm-response-cost")) > 0);
      assert.equal(lastSent().model, model);
    });

    test("a message, streamed", async () => {
      const stream = anthropic.messages.stream({ model, max_tokens: 50, messages: [hi] });
      let text = "";
      stream.on("text", (delta) => {
        text += delta;
      });
      const whole = await stream.finalMessage();
      assert.equal(text, "Hello");
      assert.equal(whole.stop_reason, "end_turn");
      assert.equal(whole.usage.output_tokens, 5);
    });

    for (const streamed of [false, true]) {
      test(`a tool's round trip, ${streamed ? "streamed" : "whole"}`, async () => {
        const asked = { model, max_tokens: 50, messages: [hi], tools };
        const first = streamed
          ? await anthropic.messages.stream(asked).finalMessage()
          : await anthropic.messages.create(asked);
        assert.equal(first.stop_reason, "tool_use");
        const use = first.content.find((block) => block.type === "tool_use");
        assert.deepEqual([use?.id, use?.name, use?.input], ["call_1", "weather", weatherCall.input]);
        const result = { type: "tool_result" as const, tool_use_id: use?.id ?? "", content: "Sunny" };
        const second = await anthropic.messages.create({
          ...asked,
          messages: [hi, { role: "assistant", content: first.content }, { role: "user", content: [result] }],
        });
        assert.deepEqual(
          second.content.map((block) => block.type === "text" && block.text),
          ["Hello"],
        );
        assert.match(JSON.stringify(lastSent().messages), toolResults[provider]);
      });
    }
  });
}

describe("the openai client", () => {
  test("embeddings", async () => {
    const made = await openai.embeddings.create({
      model: "text-embedding-3-small",
      input: "hi",
      encoding_format: "float",
    });
    assert.deepEqual(made.data[0]?.embedding, [0.5, 0.25]);
  });

  test("responses, whole and streamed", async () => {
    const whole = await openai.responses.create({ model: "gpt-4o", input: "Hi" });
    assert.equal(whole.output_text, "Hello");
    const types: string[] = [];
    for await (const event of await openai.responses.create({ model: "gpt-4o", input: "Hi", stream: true })) {
      types.push(event.type);
    }
    assert.deepEqual(types, ["response.created", "response.output_text.delta", "response.completed"]);
  });

  test("models", async () => {
    const ids: string[] = [];
    for await (const { id } of openai.models.list()) ids.push(id);
    assert.ok(ids.includes("mock/echo"), ids.join(", "));
    assert.equal((await openai.models.retrieve("mock/echo")).object, "model");
  });

  test("every failure is the class it should be", async () => {
    const create = (model: string, content: string, by = openai) =>
      by.chat.completions.create({ model, messages: [{ role: "user", content }] }, atOnce);
    await assert.rejects(create("nope", "hi"), OpenAI.NotFoundError);
    await assert.rejects(
      create("gpt-4o", "hi", openai.withOptions({ apiKey: "sk-wrong" })),
      OpenAI.AuthenticationError,
    );
    for (const [model] of models) {
      await assert.rejects(create(model, "please fail"), (error) => {
        assert.ok(error instanceof OpenAI.RateLimitError);
        assert.match(error.message, /too fast/);
        return true;
      });
    }
    await assert.rejects(
      openai.chat.completions.create({ model: "claude-sonnet-4-6", messages: [hi], n: 2 }),
      (error) => error instanceof OpenAI.BadRequestError && error.param === "n",
    );
    await assert.rejects(
      create("", "hi"),
      (error) => error instanceof OpenAI.BadRequestError && error.param === "model",
    );
  });
});

test("every failure of the anthropic client is the class it should be", async () => {
  const create = (model: string, content: string, by = anthropic) =>
    by.messages.create({ model, max_tokens: 9, messages: [{ role: "user", content }] }, atOnce);
  await assert.rejects(create("nope", "hi"), Anthropic.NotFoundError);
  await assert.rejects(
    create("gpt-4o", "hi", anthropic.withOptions({ apiKey: "sk-no" })),
    Anthropic.AuthenticationError,
  );
  for (const [model] of models) {
    await assert.rejects(create(model, "please fail"), (error) => {
      assert.ok(error instanceof Anthropic.RateLimitError);
      assert.match(error.message, /too fast/);
      return true;
    });
  }
  await assert.rejects(create("", "hi"), Anthropic.BadRequestError);
});

test("the openai client for Azure", async () => {
  const apiKey = await generateKey(gateway);
  const azure = new AzureOpenAI({ endpoint: gateway.url, apiKey, apiVersion: "2025-04-01-preview", maxRetries: 0 });
  const chat = await azure.chat.completions.create({ model: "gpt-4o", messages: [{ role: "user", content: "Hi" }] });
  assert.equal(chat.choices[0]?.message.content, "Hello");
  const model = "text-embedding-3-small";
  const { data } = await azure.embeddings.create({ model, input: "hi", encoding_format: "float" });
  assert.deepEqual(data[0]?.embedding, [0.5, 0.25]);
  assert.equal((await azure.responses.create({ model: "gpt-4o", input: "Hi" })).output_text, "Hello");
});

test("every answer has left its row", async () => {
  // Two clients with two models, six answers each, and what the openai client alone can ask for.
  const rows = await spendRows(gateway, key, 2 * 2 * 6 + 3);
  assert.ok(rows.every((row) => row.usage_status === "success" && row.cost_state === "priced"));
  assert.equal(rows.filter((row) => row.stream).length, 2 * 2 * 2 + 1);
});
