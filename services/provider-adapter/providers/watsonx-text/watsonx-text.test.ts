import assert from "node:assert/strict";
import { test } from "node:test";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { JsonObject, ProviderCall } from "../../provider.ts";
import { payloadsOfAnyCut } from "../../testing/any-cut.ts";
import { bodyObject, fixture, providerCall } from "../../translate/testing/provider-call.ts";
import { watsonxText } from "./watsonx-text.ts";

const turns: JsonObject = {
  messages: [
    { role: "system", content: "Be brief." },
    { role: "user", content: [{ type: "text", text: "Hi" }] },
  ],
};

const begin = (body: JsonObject, changes: Partial<ProviderCall> = {}) =>
  watsonxText.begin(
    providerCall(body, { model: "x/y", baseUrl: "https://h", settings: { project_id: "p" }, callId: "c1", ...changes }),
  );
const sent = (body: JsonObject, changes?: Partial<ProviderCall>) => bodyObject(begin(body, changes).request.body);

test("a conversation becomes one text, in the words of the model's family or of the deployment", () => {
  const roles = {
    system: { pre_message: "<s>", post_message: "</s>" },
    user: { pre_message: "<u>", post_message: "</u>" },
  };
  const cases: readonly [Partial<ProviderCall>, string][] = [
    [{}, "Be brief.\n\nUser: Hi\nAssistant:"],
    [
      { model: "meta-llama/llama-3-3-70b-instruct" },
      "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    ],
    [{ defaultParams: { roles, initial_prompt_value: "<", final_prompt_value: ">" } }, "<<s>Be brief.</s><u>Hi</u>>"],
  ];
  for (const [changes, input] of cases) assert.equal(sent(turns, changes).input, input);
  assert.equal(sent({ messages: [{ role: "user", content: "Hi" }] }).input, "Hi");
  assert.equal(sent({ prompt: "Hi" }, { operation: Operation.COMPLETIONS }).input, "Hi");
});

test("parameters have IBM's names", () => {
  const asked = {
    max_tokens: 9,
    temperature: 0.5,
    seed: 1,
    stop: "END",
    repetition_penalty: 1.2,
    moderations: {},
    n: 1,
  };
  assert.deepEqual(sent({ prompt: "Hi", ...asked }, { operation: Operation.COMPLETIONS }), {
    model_id: "x/y",
    project_id: "p",
    input: "Hi",
    parameters: {
      max_new_tokens: 9,
      temperature: 0.5,
      random_seed: 1,
      stop_sequences: ["END"],
      repetition_penalty: 1.2,
      decoding_method: "sample",
    },
    moderations: {},
  });
  assert.deepEqual(sent({ ...turns, max_tokens: 9 }, { outputTokenCap: 4 }).parameters, { max_new_tokens: 4 });
});

test("what a text model cannot do is refused by name, or dropped", () => {
  const image = { role: "user", content: [{ type: "image_url", image_url: { url: "data:x" } }] };
  const cases: readonly [JsonObject, RegExp][] = [
    [{ ...turns, tools: [{ type: "function" }] }, /'tools'/],
    [{ ...turns, response_format: { type: "json_object" } }, /'response_format'/],
    [{ ...turns, n: 2 }, /'n'/],
    [{ messages: [image] }, /takes texts/],
    [{ messages: [{ role: "tool", content: "1" }] }, /role 'tool'/],
    [{ messages: [] }, /'messages'/],
  ];
  for (const [body, message] of cases) assert.throws(() => begin(body), message);
  assert.deepEqual(sent({ ...turns, n: 2 }, { dropParams: true }).parameters, {});
  assert.deepEqual(sent({ ...turns, n: 2 }, { allowedParams: ["n"] }).parameters, { n: 2 });
});

test("a text comes back as a chat, or as a completion", () => {
  const result = { generated_text: "Hello", generated_token_count: 1, input_token_count: 4, stop_reason: "eos_token" };
  const answer = Buffer.from(JSON.stringify({ model_id: "x/y", results: [result] }));
  const exchange = begin(turns);
  const usage = { prompt_tokens: 4, completion_tokens: 1, total_tokens: 5 };
  const head = { id: "chatcmpl-c1", created: 1_700_000_000, model: "x/y" };
  const ending = { finish_reason: "stop", logprobs: null };
  const message = { role: "assistant", content: "Hello", refusal: null };
  assert.deepEqual(bodyObject(exchange.decodeBody(answer)), {
    ...head,
    object: "chat.completion",
    choices: [{ index: 0, message, ...ending }],
    usage,
  });
  assert.deepEqual(bodyObject(begin({ prompt: "a" }, { operation: Operation.COMPLETIONS }).decodeBody(answer)), {
    ...head,
    id: "cmpl-c1",
    object: "text_completion",
    choices: [{ index: 0, text: "Hello", ...ending }],
    usage,
  });
});

test("a stream in any cut, its end and its usage", () => {
  const body = fixture("../watsonx_text/text.sse");
  const options = { stream_options: { include_usage: true } };
  const told = payloadsOfAnyCut(() => begin({ ...turns, ...options }, { stream: true }), body);
  const chunks = told.split("\n\n").filter((event) => event !== "" && !event.includes("[DONE]"));
  const parsed = chunks.map((event) => JSON.parse(event.slice("data: ".length)));
  assert.equal(parsed.map(({ choices }) => choices[0]?.delta?.content ?? "").join(""), "Guten Tag");
  assert.equal(parsed.at(-2).choices[0].finish_reason, "length");
  assert.deepEqual(parsed.at(-1).usage, { prompt_tokens: 9, completion_tokens: 2, total_tokens: 11 });
  assert.ok(told.endsWith("data: [DONE]\n\n"));
  const text = payloadsOfAnyCut(() => begin({ prompt: "a" }, { stream: true, operation: Operation.COMPLETIONS }), body);
  assert.match(text, /"text":"Guten"/);
  const exchange = begin(turns, { stream: true });
  assert.throws(() => exchange.finish(), /before the answer was complete/);
});
