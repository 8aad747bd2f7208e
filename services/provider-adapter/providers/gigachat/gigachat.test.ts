import assert from "node:assert/strict";
import { test } from "node:test";
import { Secret } from "#chassis/secret.ts";
import { UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Exchange, JsonObject, ProviderCall } from "../../provider.ts";
import {
  bodyObject,
  fixture,
  fixtureEvents,
  payloadObjects,
  providerCall,
  randomNumbers,
  texts,
  toldInPieces,
} from "../../translate/testing/provider-call.ts";
import { gigachat } from "./gigachat.ts";

const user = { role: "user", content: "Hi" };
const parameters = { type: "object", properties: { city: { type: "string" } } };
const tool = { type: "function", function: { name: "get_weather", description: "w", parameters } };
const called = { name: "get_weather", description: "w", parameters };

function begin(body: JsonObject, changes: Partial<ProviderCall> = {}): Exchange {
  const call = { model: "GigaChat-2", credential: new Secret("aWQ6c2VjcmV0"), callId: "a-b" };
  return gigachat.begin(
    providerCall(
      { model: "group", ...(body.input === undefined ? { messages: [user] } : {}), ...body },
      { ...call, ...changes },
    ),
  );
}

const sent = (body: JsonObject, changes: Partial<ProviderCall> = {}) => bodyObject(begin(body, changes).request.body);

test("an authorization key is for a token, an access token is one", () => {
  const { url, headers, tokenGrant } = begin({}, { settings: { gigachat_scope: "GIGACHAT_API_CORP" } }).request;
  assert.equal(url, "https://gigachat.devices.sberbank.ru/api/v1/chat/completions");
  assert.equal(headers.authorization, undefined);
  assert.equal(tokenGrant?.url, "https://ngw.devices.sberbank.ru:9443/api/v2/oauth");
  assert.deepEqual(tokenGrant?.form, { scope: "GIGACHAT_API_CORP" });
  assert.deepEqual([tokenGrant?.basic?.reveal(), tokenGrant?.requestIdHeader], ["aWQ6c2VjcmV0", "rquid"]);
  const token = begin({}, { credential: new Secret("ey.ab.cd") }).request;
  assert.deepEqual([token.headers.authorization, token.tokenGrant], ["Bearer ey.ab.cd", undefined]);
  assert.throws(() => begin({}, { credential: undefined }), /GIGACHAT_CREDENTIALS/);
});

const cases: readonly [given: JsonObject, expected: JsonObject][] = [
  [{}, {}],
  [
    { temperature: 0.5, top_p: 0.9, n: 2, max_completion_tokens: 5, repetition_penalty: 1.1 },
    { temperature: 0.5, top_p: 0.9, n: 2, max_tokens: 5, repetition_penalty: 1.1 },
  ],
  [{ temperature: 0, user: "u", parallel_tool_calls: false }, { top_p: 0 }],
  [{ tools: [tool] }, { functions: [called], function_call: "auto" }],
  [{ tools: [tool], tool_choice: "none" }, {}],
  [
    { tools: [tool], tool_choice: "required" },
    { functions: [called], function_call: { name: "get_weather" } },
  ],
  [
    { response_format: { type: "json_schema", json_schema: { name: "city", schema: parameters } } },
    {
      functions: [{ name: "city", description: "The answer to the user.", parameters }],
      function_call: { name: "city" },
    },
  ],
];

test("every parameter has its counterpart", () => {
  for (const [given, expected] of cases) {
    assert.deepEqual(sent(given), { model: "GigaChat-2", messages: [user], stream: false, ...expected });
  }
});

test("what GigaChat cannot do is refused by name, or dropped", () => {
  const other = { ...tool, function: { ...tool.function, name: "other" } };
  const refused: readonly [string, JsonObject][] = [
    ["seed", { seed: 1 }],
    ["stop", { stop: "a" }],
    ["functions", { functions: [] }],
    ["tool_choice", { tools: [tool, other], tool_choice: "required" }],
    ["response_format", { response_format: { type: "json_object" } }],
    ["messages", { messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "x" } }] }] }],
  ];
  for (const [name, body] of refused) {
    assert.throws(() => sent(body), /drop_params/, name);
    assert.ok(sent(body, { dropParams: true }), name);
  }
  assert.equal(sent({ seed: 1 }, { allowedParams: ["seed"] }).seed, 1);
});

test("calls that were made at once are told one after the other", () => {
  const call = (id: string, city: string) => ({
    id,
    type: "function",
    function: { name: "get_weather", arguments: JSON.stringify({ city }) },
  });
  const messages: JsonObject[] = [
    user,
    { role: "system", content: "Be." },
    { role: "assistant", content: null, tool_calls: [call("t1", "Rome"), call("t2", "Oslo")] },
    { role: "tool", tool_call_id: "t2", content: "snow" },
    { role: "tool", tool_call_id: "t1", content: '{"sky":"blue"}' },
  ];
  assert.deepEqual(sent({ messages }).messages, [
    { role: "system", content: "Be." },
    user,
    { role: "assistant", content: "", function_call: { name: "get_weather", arguments: { city: "Rome" } } },
    { role: "function", name: "get_weather", content: '{"sky":"blue"}' },
    { role: "assistant", content: "", function_call: { name: "get_weather", arguments: { city: "Oslo" } } },
    { role: "function", name: "get_weather", content: '{"result":"snow"}' },
  ]);
});

const usage = { prompt_tokens: 7, precached_prompt_tokens: 4, completion_tokens: 7 };
const functionCall = { name: "get_weather", arguments: { city: "Rome" } };

test("whole answers become chat completions", () => {
  const answer = (exchange: Exchange, message: JsonObject, reason: string) => {
    const body = { choices: [{ index: 0, message, finish_reason: reason }], usage };
    const { choices } = bodyObject(exchange.decodeBody(Buffer.from(JSON.stringify(body))));
    return Object(Array.isArray(choices) ? choices[0] : undefined);
  };
  const calling = begin({ tools: [tool] });
  const { message, finish_reason: reason } = answer(
    calling,
    { content: "", function_call: functionCall },
    "function_call",
  );
  assert.equal(reason, "tool_calls");
  assert.deepEqual(message.tool_calls, [
    { id: "call_ab", type: "function", function: { name: "get_weather", arguments: '{"city":"Rome"}' } },
  ]);
  const { inputTokens, cacheReadTokens, outputTokens } = calling.outcome().usage;
  assert.deepEqual([inputTokens, cacheReadTokens, outputTokens], [7n, 4n, 7n]);
  const schema = begin({ response_format: { type: "json_schema", json_schema: { name: "city", schema: parameters } } });
  const told = answer(schema, { function_call: { name: "city", arguments: { city: "Rome" } } }, "function_call");
  assert.deepEqual([told.message.content, told.finish_reason], ['{"city":"Rome"}', "stop"]);
});

function run(size: () => number): Uint8Array[] {
  const exchange = begin({ stream: true, stream_options: { include_usage: true } }, { stream: true });
  return toldInPieces(exchange, fixture("../gigachat/chat.sse"), size);
}

test("a stream is told under any cut of its bytes", () => {
  const whole = run(() => 100_000);
  const deltas = payloadObjects(whole).map(({ choices }) => Object(Array.isArray(choices) ? choices[0] : {}).delta);
  assert.deepEqual(deltas.slice(0, 3), [{ role: "assistant", content: "" }, { content: "Sun" }, { content: "ny ☀" }]);
  assert.match(texts(whole).join(""), /"name":"get_weather","arguments":"\{\\"city\\":\\"Rome\\"\}"/);
  assert.match(texts(whole).join(""), /"finish_reason":"tool_calls"/);
  const random = randomNumbers(7);
  for (let round = 0; round < 40; round += 1) {
    assert.deepEqual(texts(run(() => 1 + Math.floor(random() * 30))), texts(whole));
  }
});

test("a stream of two choices goes on until both have ended", () => {
  const exchange = begin({ n: 2, stream: true }, { stream: true });
  const event = (...choices: JsonObject[]) => Buffer.from(`data: ${JSON.stringify({ choices })}\n\n`);
  const said = (index: number, content: string) => ({ index, delta: { content } });
  const end = (index: number) => ({ index, delta: {}, finish_reason: "stop" });
  const payloads = exchange.decodeEvents([event(said(0, "a"), said(1, "b")), event(end(0))]);
  assert.equal(exchange.progress, "open");
  payloads.push(...exchange.decodeEvents([event(said(1, "c"), end(1))]));
  assert.equal(exchange.progress, "closing");
  const told = payloadObjects([...payloads, ...exchange.finish()]).flatMap(({ choices }) =>
    Array.isArray(choices) ? choices : [],
  );
  const textOf = (index: number) =>
    told.map((choice) => (Object(choice).index === index ? (Object(choice).delta.content ?? "") : "")).join("");
  assert.deepEqual([textOf(0), textOf(1)], ["a", "bc"]);
});

test("what is broken is an error; messages come by way of a chat; vectors", () => {
  for (const body of ["<html>", "{}", '{"choices":[]}'])
    assert.throws(() => begin({}).decodeBody(Buffer.from(body)), body);
  const cut = begin({}, { stream: true });
  cut.decodeEvents(fixtureEvents("../gigachat/chat.sse").slice(0, 1));
  assert.throws(() => cut.finish(), /before the answer was complete/);
  const init = gigachat.classifyError(401, {}, Buffer.from('{"status":401,"message":"Token has expired"}'));
  assert.deepEqual([init.kind, init.message], [UpstreamErrorKind.AUTHENTICATION, "Token has expired"]);
  const messages = begin({ max_tokens: 9 }, { operation: Operation.MESSAGES, stream: true });
  const told = [...messages.decodeEvents(fixtureEvents("../gigachat/chat.sse")), ...messages.finish()];
  assert.match(texts(told).join(""), /"stop_reason":"tool_use"/);
  const vectors = begin({ input: "a" }, { operation: Operation.EMBEDDINGS, model: "Embeddings" });
  assert.deepEqual(bodyObject(vectors.request.body), { model: "Embeddings", input: ["a"] });
  const answer = { data: [{ embedding: [1], index: 0, usage: { prompt_tokens: 3 } }] };
  const { usage: counted } = bodyObject(vectors.decodeBody(Buffer.from(JSON.stringify(answer))));
  assert.deepEqual(counted, { prompt_tokens: 3, total_tokens: 3 });
});
