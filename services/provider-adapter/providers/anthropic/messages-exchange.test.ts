import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { ConnectError } from "@connectrpc/connect";
import { findUpstreamError } from "#chassis/errors.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { JsonObject, ProviderCall } from "../../provider.ts";
import {
  bodyObject,
  fixture,
  fixtureEvents,
  namedEvents,
  providerCall,
  randomNumbers,
  texts,
} from "../../translate/testing/provider-call.ts";
import { anthropic } from "./anthropic.ts";

function begin(changes: Partial<ProviderCall> = {}, body: JsonObject = {}) {
  return anthropic.begin(providerCall(body, { operation: Operation.MESSAGES, ...changes }));
}

test("the request keeps every byte but the model's", () => {
  const text = '{ "model":"claude", "max_tokens" : 10,\n"big": 12345678901234567890, "messages":[{"role":"user"}]}';
  const { request } = begin({ body: Buffer.from(text), model: "claude-opus-4-5" });
  strictEqual(Buffer.from(request.body).toString(), text.replace('"claude"', '"claude-opus-4-5"'));
});

test("a cap lowers the output limit and a thinking budget above it", () => {
  const cases: readonly [JsonObject, JsonObject][] = [
    [{ max_tokens: 50 }, { max_tokens: 50 }],
    [{ max_tokens: 5000 }, { max_tokens: 2000 }],
    [{}, { max_tokens: 2000 }],
    [
      { max_tokens: 9000, thinking: { type: "enabled", budget_tokens: 4000 } },
      { max_tokens: 2000, thinking: { type: "enabled", budget_tokens: 1999 } },
    ],
    [
      { max_tokens: 9000, thinking: { type: "adaptive" } },
      { max_tokens: 2000, thinking: { type: "adaptive" } },
    ],
  ];
  for (const [body, expected] of cases) {
    const { request } = begin({ outputTokenCap: 2000 }, body);
    deepStrictEqual(bodyObject(request.body), { ...expected, model: "claude-sonnet-4-5" });
  }
});

test("the deployment's parameters fill what the client left out", () => {
  const { request } = begin({ defaultParams: { temperature: 0.5, max_tokens: 7 } }, { temperature: 1 });
  deepStrictEqual(bodyObject(request.body), { temperature: 1, model: "claude-sonnet-4-5", max_tokens: 7 });
});

test("every event passes as it is, however events are grouped, and message_stop comes last", () => {
  const events = fixtureEvents("answer.chunks.txt");
  const random = randomNumbers(3);
  for (let round = 0; round < 50; round++) {
    const exchange = begin({ stream: true });
    const payloads: Uint8Array[] = [];
    for (let at = 0; at < events.length; ) {
      const size = Math.floor(random() * 5);
      payloads.push(...exchange.decodeEvents(events.slice(at, at + size)));
      at += size;
    }
    strictEqual(payloads.length, events.length - 1);
    deepStrictEqual(texts([...payloads, ...exchange.finish()]), texts(events));
    const { usage, finishReason, responseId } = exchange.outcome();
    deepStrictEqual([usage.inputTokens, usage.outputTokens, usage.estimated], [20n, 90n, false]);
    deepStrictEqual([usage.cacheWriteTokens, usage.cacheWrite1hTokens, usage.reasoningTokens], [100n, 200n, 30n]);
    deepStrictEqual([finishReason, responseId], ["tool_calls", "msg_01"]);
  }
});

test("an answer passes as it is and its usage is read", () => {
  const exchange = begin();
  const body = fixture("answer.json");
  strictEqual(exchange.decodeBody(body), body);
  deepStrictEqual([exchange.outcome().usage.outputTokens, exchange.outcome().finishReason], [90n, "tool_calls"]);
});

test("a compaction and an advisor are charged on top of the totals", () => {
  const usage = {
    input_tokens: 5,
    output_tokens: 6,
    iterations: [
      { type: "compaction", input_tokens: 1000, output_tokens: 50 },
      { type: "message", input_tokens: 5, output_tokens: 6 },
    ],
  };
  const exchange = begin();
  exchange.decodeBody(Buffer.from(JSON.stringify({ type: "message", content: [], usage })));
  deepStrictEqual([exchange.outcome().usage.inputTokens, exchange.outcome().usage.outputTokens], [1005n, 56n]);
});

test("the opening is held until content, an abort is estimated, a cut stream and an error event fail", () => {
  const events = fixtureEvents("answer.chunks.txt");
  const exchange = begin({ stream: true });
  strictEqual(exchange.decodeEvents(events.slice(0, 2)).length, 0);
  strictEqual(exchange.decodeEvents(events.slice(2, 3)).length, 3);
  exchange.decodeEvents(events.slice(3, 9));
  ok(exchange.outcome().usage.estimated && exchange.outcome().usage.outputTokens > 5n);
  const statusOf = (run: () => unknown) => {
    try {
      run();
    } catch (error) {
      return error instanceof ConnectError ? findUpstreamError(error)?.httpStatus : undefined;
    }
    return undefined;
  };
  strictEqual(
    statusOf(() => exchange.finish()),
    502,
  );
  const error = namedEvents({ type: "error", error: { type: "api_error", message: "Internal" } });
  strictEqual(
    statusOf(() => exchange.decodeEvents(error)),
    500,
  );
  for (const body of ["", "<html>", "{}", '{"type":"message"']) {
    strictEqual(
      statusOf(() => begin().decodeBody(Buffer.from(body))),
      502,
    );
  }
});
