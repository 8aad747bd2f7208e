import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { findGatewayError, findUpstreamError, upstreamError } from "#chassis/errors.ts";
import { createLogger } from "#chassis/log.ts";
import { serveRpc } from "#chassis/serve/rpc-server.ts";
import type { ChatSchema } from "#gen/sluice/chat/v1/chat_pb.ts";
import { ChatService } from "#gen/sluice/chat/v1/chat_service_pb.ts";
import { UpstreamErrorKind as Kind, Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import {
  answerOf,
  chunkEvent,
  type InferScript,
  keyHashOf,
  startedEvent,
  startTestEdge,
} from "../testing/scripted-mesh.ts";

let script: InferScript = async function* () {};
const edge = await startTestEdge({
  infer: (request, signal) => script(request, signal),
  config: { maxBodyBytes: 5000 },
});
const server = await serveRpc({
  host: "127.0.0.1",
  port: 0,
  implementations: edge.implementations,
  token: undefined,
  health: () => true,
  log: createLogger("error", () => {}),
});
after(async () => {
  await server.close(0);
  await edge.stop();
});

const at = { baseUrl: server.address };
const transports = {
  "gRPC over h2c": createGrpcTransport(at),
  "gRPC-Web over h2c": createGrpcWebTransport({ ...at, httpVersion: "2" }),
  "gRPC-Web over HTTP/1.1": createGrpcWebTransport({ ...at, httpVersion: "1.1" }),
  "Connect over h2c": createConnectTransport({ ...at, httpVersion: "2" }),
  "Connect over HTTP/1.1": createConnectTransport({ ...at, httpVersion: "1.1" }),
};
const client: Client<typeof ChatService> = createClient(ChatService, transports["gRPC over h2c"]);
const headers = { authorization: "Bearer sk-virtual" };
const chat = { model: "gpt-4o", messages: [{ role: "user", content: { case: "text" as const, value: "Hello!" } }] };

const completion = {
  id: "chatcmpl-1",
  object: "chat.completion",
  created: 1_700_000_000,
  model: "gpt-4o-2024",
  choices: [
    {
      index: 0,
      finish_reason: "tool_calls",
      logprobs: null,
      message: {
        role: "assistant",
        content: null,
        tool_calls: [{ id: "call_1", type: "function", function: { name: "f", arguments: '{"a":1}' } }],
        annotations: [],
      },
    },
  ],
  usage: { prompt_tokens: 3 },
};

function answering(contentType: string, chunks: readonly (readonly string[])[]): InferScript {
  return async function* () {
    yield* answerOf(contentType, chunks);
  };
}
const whole = answering("application/json", [
  [JSON.stringify(completion).slice(0, 9)],
  [JSON.stringify(completion).slice(9)],
]);

function delta(fields: Record<string, unknown>): string {
  return `data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", created: 1, model: "m", choices: [{ index: 0, ...fields }] })}\n\n`;
}
const streamed = answering("text/event-stream", [
  [delta({ delta: { role: "assistant", content: "" } }), delta({ delta: { content: "Hel" } })],
  [delta({ delta: { content: "lo", reasoning_content: "hm" }, finish_reason: null })],
  [delta({ delta: {}, finish_reason: "stop" }), "data: [DONE]\n\n"],
]);

for (const [name, transport] of Object.entries(transports)) {
  describe(name, () => {
    const own = createClient(ChatService, transport);
    test("a whole completion", async () => {
      script = whole;
      const answer = await own.createChatCompletion({ chat }, { headers });
      assert.equal(answer.completion?.choices[0]?.message?.toolCalls[0]?.function?.arguments, '{"a":1}');
      assert.equal(answer.summary?.usage?.outputTokens, 2n);
    });

    test("a stream", async () => {
      script = streamed;
      const texts: string[] = [];
      let cost: bigint | undefined;
      for await (const { event } of own.streamChatCompletion({ chat }, { headers })) {
        if (event.case === "summary") cost = event.value.cost?.nanoUsd;
        const said = event.case === "chunk" ? event.value.choices[0]?.delta?.content : undefined;
        if (said?.case === "text") texts.push(said.value);
      }
      assert.equal(texts.join(""), "Hello");
      assert.equal(cost, 12_345n);
    });

    test("a failure", async () => {
      const call = own.createChatCompletion({ chat }, { headers: { authorization: "Bearer sk-nobody" } });
      const error = await call.then(() => assert.fail(), ConnectError.from);
      assert.equal(error.code, Code.Unauthenticated);
      assert.equal(findGatewayError(error)?.reason, Reason.KEY_INVALID);
      assert.ok(error.metadata.get("x-litellm-call-id"));
    });
  });
}

test("an answer with types, and what has none in extra", async () => {
  script = whole;
  const { completion: got, summary } = await client.createChatCompletion({ chat }, { headers });
  assert.partialDeepStrictEqual(got, {
    id: "chatcmpl-1",
    created: 1_700_000_000n,
    model: "gpt-4o-2024",
    extra: { object: "chat.completion", usage: { prompt_tokens: 3 } },
    choices: [
      {
        index: 0,
        finishReason: "tool_calls",
        extra: { logprobs: null },
        message: {
          role: "assistant",
          content: { case: undefined },
          toolCalls: [{ id: "call_1", type: "function", function: { name: "f", arguments: '{"a":1}' } }],
          extra: { annotations: [] },
        },
      },
    ],
  });
  assert.partialDeepStrictEqual(summary, { deployment: "deployment-1", provider: "mock", attemptedRetries: 1 });
});

test("the request is the one that a client of HTTP would send", async () => {
  script = whole;
  const schema = { type: "object", properties: { a: { type: "string" } } };
  const sent = {
    ...chat,
    messages: [
      { role: "system", content: { case: "text" as const, value: "Be brief." } },
      {
        role: "user",
        content: {
          case: "parts" as const,
          value: {
            parts: [
              { text: "What is it?" },
              { imageUrl: { url: "https://x/y.png", detail: "low" } },
              { type: "file", extra: { file: { file_id: "f" } } },
            ],
          },
        },
      },
      { role: "assistant", toolCalls: [{ id: "c", function: { name: "f" } }], extra: { cache_control: { type: "a" } } },
      { role: "tool", toolCallId: "c", content: { case: "text" as const, value: "" } },
    ],
    tools: [{ function: { name: "f", parameters: schema, strict: false } }],
    toolChoice: { kind: { case: "stringValue" as const, value: "required" } },
    maxTokens: 0,
    temperature: 0,
    stop: ["END"],
    responseFormat: { type: "json_object" },
    extra: { num_retries: 2, tags: ["a"], logit_bias: { "50256": -100 }, temperature: 2, stream: true },
  };
  await client.createChatCompletion({ chat: sent }, { headers: { ...headers, "x-litellm-call-id": "call-9" } });
  const request = edge.inferred.at(-1);
  assert.deepEqual(JSON.parse(Buffer.from(request?.body ?? []).toString()), {
    model: "gpt-4o",
    messages: [
      { role: "system", content: "Be brief." },
      {
        role: "user",
        content: [
          { type: "text", text: "What is it?" },
          { type: "image_url", image_url: { url: "https://x/y.png", detail: "low" } },
          { type: "file", file: { file_id: "f" } },
        ],
      },
      {
        role: "assistant",
        tool_calls: [{ id: "c", type: "function", function: { name: "f", arguments: "" } }],
        cache_control: { type: "a" },
      },
      { role: "tool", tool_call_id: "c", content: "" },
    ],
    tools: [{ type: "function", function: { name: "f", parameters: schema, strict: false } }],
    tool_choice: "required",
    max_tokens: 0,
    temperature: 0,
    stop: ["END"],
    response_format: { type: "json_object" },
    logit_bias: { "50256": -100 },
    stream: false,
  });
  assert.equal(request?.operation, Operation.CHAT_COMPLETIONS);
  assert.equal(request.callId, "call-9");
  assert.equal(request.options?.numRetries, 2);
  assert.deepEqual(request.caller?.tags, ["a"]);
  assert.equal(request.caller?.keyId, keyHashOf("sk-virtual"));
});

const refusals: [string, MessageInitShape<typeof ChatSchema> | undefined, string | undefined, Code, RegExp][] = [
  ["no chat", undefined, "sk-virtual", Code.InvalidArgument, /'chat' is a required field/],
  ["no model", { messages: [] }, "sk-virtual", Code.InvalidArgument, /'model' is a required/],
  ["no messages", { model: "gpt-4o" }, "sk-virtual", Code.InvalidArgument, /'messages' is a required/],
  ["a field that is not built", { ...chat, extra: { priority: 1 } }, "sk-virtual", Code.InvalidArgument, /'priority'/],
  ["a large body", { ...chat, user: "x".repeat(6000) }, "sk-virtual", Code.InvalidArgument, /larger than 5000/],
  ["no key", {}, undefined, Code.Unauthenticated, /No api key/],
];

describe("refusals", () => {
  for (const [what, given, key, code, message] of refusals) {
    test(what, async () => {
      const own = key === undefined ? {} : { authorization: `Bearer ${key}` };
      const call = client.createChatCompletion({ chat: given }, { headers: own });
      await assert.rejects(call, (error) => ConnectError.from(error).code === code && message.test(String(error)));
    });
  }
});

test("a provider's failure keeps its detail", async () => {
  const failure = { kind: Kind.RATE_LIMITED, httpStatus: 429, provider: "p", retryable: true, message: "slow down" };
  script = async function* () {
    yield startedEvent("text/event-stream");
    yield chunkEvent([delta({ delta: { content: "a" } })]);
    throw upstreamError({ ...failure, retryAfterMs: 7000 });
  };
  let chunks = 0;
  const read = async () => {
    for await (const _ of client.streamChatCompletion({ chat }, { headers })) chunks += 1;
  };
  const error = await read().then(() => assert.fail(), ConnectError.from);
  assert.equal(chunks, 1);
  assert.equal(error.code, Code.ResourceExhausted);
  assert.equal(error.rawMessage, "slow down");
  assert.equal(error.metadata.get("retry-after"), "7");
  assert.equal(findUpstreamError(error)?.kind, Kind.RATE_LIMITED);
});

test("what goes wrong inside is not told", async () => {
  script = async function* () {
    yield startedEvent("application/json");
    throw new Error("postgres://user:password@host");
  };
  const error = await client.createChatCompletion({ chat }, { headers }).then(() => assert.fail(), ConnectError.from);
  assert.equal(error.code, Code.Internal);
  assert.doesNotMatch(error.message, /postgres/);
  assert.ok(edge.logged.some((line) => line.includes("password")));
});

test("an answer without an end is no answer", async () => {
  script = async function* () {
    yield startedEvent("text/event-stream");
    yield chunkEvent([delta({ delta: { content: "a" } }), "data: [DONE]\n\n"], true);
  };
  const read = async () => {
    for await (const { event } of client.streamChatCompletion({ chat }, { headers })) assert.equal(event.case, "chunk");
  };
  await assert.rejects(read(), /Internal error/);
});

test("a client that leaves ends the call", async () => {
  let gone = () => {};
  const ended = new Promise<void>((resolve) => {
    gone = resolve;
  });
  script = async function* (_, signal) {
    yield startedEvent("text/event-stream");
    yield chunkEvent([delta({ delta: { content: "a" } })]);
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    gone();
  };
  const left = new AbortController();
  const read = async () => {
    const stream = client.streamChatCompletion({ chat }, { headers, signal: left.signal });
    for await (const _ of stream) left.abort();
  };
  await assert.rejects(read(), /canceled/);
  await ended;
});
