import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { ScriptedAnswer } from "#chassis/testing/fake-upstream.ts";
import { assertTellsNothing, readErrorAnswer } from "./harness/error-shape.ts";
import {
  calls,
  canary,
  during,
  type FailingProviders,
  masterKey,
  providers,
  startFailingProviders,
} from "./harness/failing-providers.ts";
import {
  completion,
  type Dialect,
  helloAnswer,
  jsonAnswer,
  message,
  providerError,
} from "./harness/provider-answers.ts";
import { generateKey, spendRows } from "./harness/spend.ts";

const secrets = [canary, masterKey];
let stage: FailingProviders;
before(async () => {
  stage = await startFailingProviders();
});
after(() => stage?.stop());

const overOpenai = (status: number) => (status === 429 ? "throttling_error" : "said_type");

/** A provider's status, whether a second deployment is asked, and Anthropic's word for it. */
const statuses: readonly (readonly [status: number, elsewhere: boolean, anthropicType: string])[] = [
  [400, false, "invalid_request_error"],
  [401, true, "authentication_error"],
  [403, true, "permission_error"],
  [404, false, "not_found_error"],
  [408, true, "timeout_error"],
  [413, false, "request_too_large"],
  [429, true, "rate_limit_error"],
  [500, true, "api_error"],
  [502, true, "api_error"],
  [503, true, "api_error"],
  [529, true, "overloaded_error"],
];

describe("a provider's status", () => {
  for (const [status, elsewhere, anthropicType] of statuses) {
    test(`${status} reaches the client with the provider's words`, async () => {
      for (const provider of providers) {
        for (const call of calls) {
          const where = `${provider} ${call.path} ${call.stream ? "streamed" : "whole"}`;
          const said = providerError(provider, `said with ${status}`, "said_type", "said_code");
          const failing = jsonAnswer(said, status, status === 429 || status === 503 ? { "retry-after": "7" } : {});
          const { result, asked } = await during(stage, failing, () => stage.call(call, `${provider}-alone`));
          assert.equal(result.status, status, `${where}: ${result.text}`);
          const error = readErrorAnswer(result, call.dialect, secrets);
          assert.equal(error.message, status === 401 ? `${provider}: said with 401` : `said with ${status}`, where);
          assert.equal(error.type, call.dialect === "openai" ? overOpenai(status) : anthropicType, where);
          assert.equal(result.headers["retry-after"], failing.headers?.["retry-after"], where);
          assert.equal(asked, 1, where);

          const retried = await during(stage, failing, () => stage.call(call, `${provider}-pair`, { retries: 2 }));
          assert.equal(retried.result.status, elsewhere ? 200 : status, `${where} retried: ${retried.result.text}`);
          assert.equal(retried.asked, 1, where);
          if (!elsewhere) continue;
          assert.equal(retried.result.headers["x-litellm-attempted-retries"], "1", where);
          assert.match(retried.result.text, /Hello/, where);
        }
      }
    });
  }

  test("without retries nobody else is asked", async () => {
    const before = stage.well.requests.length;
    for (const provider of providers) {
      const said = jsonAnswer(providerError(provider, "down", "api_error"), 500);
      const { result } = await during(stage, said, () => stage.call(calls[0], `${provider}-pair`));
      assert.equal(result.status, 500);
    }
    assert.equal(stage.well.requests.length, before);
  });

  test("a deployment without a neighbour is asked again", async () => {
    let asked = 0;
    stage.sick.answer(() => {
      asked += 1;
      return asked === 1 ? jsonAnswer({ error: { message: "busy" } }, 503) : helloAnswer("openai", false);
    });
    const answer = await stage.call(calls[0], "openai-alone", { retries: 1 });
    assert.deepEqual([answer.status, asked, answer.headers["x-litellm-attempted-retries"]], [200, 2, "1"]);
  });
});

const html = { "content-type": "text/html" };

describe("an error body that is none", () => {
  const bodies: Readonly<Record<string, Pick<ScriptedAnswer, "body" | "headers">>> = {
    nothing: {},
    "a page": { headers: html, body: "<html><body><h1>502 Bad Gateway</h1></body></html>" },
    garbage: { body: Buffer.from([0xff, 0x00, 0xfe, 0x7b]) },
    "another shape": { body: '{"detail":[{"loc":["body"],"msg":"odd"}]}' },
    "a text": { body: "overloaded" },
    "a list": { body: "[1,2,3]" },
    "wrong types": { body: '{"error":{"message":{"a":1},"type":5,"code":[],"param":{}}}' },
    "a text as error": { body: '{"error":"odd"}' },
    deep: { body: `{"error":{"message":"odd","more":${"[".repeat(20_000)}${"]".repeat(20_000)}}}` },
    large: { body: `{"error":{"message":"${"odd ".repeat(100_000)}"}}` },
  };
  for (const [name, body] of Object.entries(bodies)) {
    test(name, async () => {
      for (const provider of providers) {
        for (const call of calls) {
          const { result } = await during(stage, { status: 502, ...body }, () => stage.call(call, `${provider}-alone`));
          assert.equal(result.status, 502);
          const error = readErrorAnswer(result, call.dialect, secrets);
          assert.ok(error.message !== "" && error.message.length < 10_000);
          assert.doesNotMatch(error.message, /<html/);
        }
      }
    });
  }
});

/** What comes with a 200 and is no answer, and the status it gets. */
type NoAnswer = readonly [name: string, answer: (of: Dialect) => ScriptedAnswer, status: (of: Dialect) => number];
const badGateway = () => 502;
const noAnswers: readonly NoAnswer[] = [
  ["nothing", () => ({}), badGateway],
  ["nothing, as JSON", () => ({ headers: { "content-type": "application/json" } }), badGateway],
  ["a page", () => ({ headers: html, body: "<html>Sign in</html>" }), badGateway],
  ["garbage", () => ({ body: Buffer.from([0xff, 0x00, 0xfe]) }), badGateway],
  ["another object", () => jsonAnswer({ hello: "world" }), badGateway],
  ["a list", () => jsonAnswer([1]), badGateway],
  ["null", () => jsonAnswer(null), badGateway],
  ["half an answer", () => ({ ...jsonAnswer({}), body: JSON.stringify(completion()).slice(0, 60) }), badGateway],
  ["cut in the middle", () => ({ body: '{"id":"c","choices":[', ending: "cut" }), () => 500],
  ["an error", (of) => jsonAnswer(providerError(of, "no money", "billing_error", "402")), () => 402],
  [
    "an overload",
    (of) => jsonAnswer(providerError(of, "busy", "overloaded_error")),
    (of) => (of === "openai" ? 503 : 529),
  ],
];

describe("a 200 that is no answer", () => {
  for (const [name, answer, status] of noAnswers) {
    test(name, async () => {
      for (const provider of providers) {
        for (const call of calls) {
          const { result } = await during(stage, answer(provider), () => stage.call(call, `${provider}-alone`));
          assert.equal(result.status, status(provider), `${provider} ${call.path} ${call.stream}: ${result.text}`);
          readErrorAnswer(result, call.dialect, secrets);
        }
      }
    });
  }

  test("another deployment answers instead", async () => {
    for (const provider of providers) {
      for (const call of calls) {
        const retried = () => stage.call(call, `${provider}-pair`, { retries: 1 });
        const { result, asked } = await during(stage, { headers: html, body: "<html>" }, retried);
        assert.deepEqual([result.status, asked], [200, 1], result.text);
      }
    }
  });
});

describe("a provider that does not answer", () => {
  const silences: readonly (readonly [name: string, answer: ScriptedAnswer, status: number, seconds?: number])[] = [
    ["the connection is cut before the head", { instead: "cut" }, 500],
    ["the head never comes", { instead: "hang" }, 408, 0.3],
    ["the body never comes", { headers: { "content-type": "text/event-stream" }, ending: "hang" }, 408, 0.3],
  ];
  for (const [name, answer, status, seconds] of silences) {
    test(name, async () => {
      await Promise.all(
        providers.flatMap((provider) =>
          calls.map(async (call) => {
            const body = call.stream ? { stream_timeout: seconds } : { timeout: seconds };
            stage.sick.answer(answer);
            const result = await stage.call(call, `${provider}-alone`, { body });
            assert.equal(result.status, status, `${provider} ${call.path} ${call.stream}: ${result.text}`);
            readErrorAnswer(result, call.dialect, secrets);
          }),
        ),
      );
    });
  }

  test("the connection is refused", async () => {
    for (const provider of providers) {
      for (const call of calls) {
        const result = await stage.call(call, `${provider}-gone`);
        assert.equal(result.status, 500);
        const error = readErrorAnswer(result, call.dialect, secrets);
        assert.equal(error.type, call.dialect === "openai" ? "api_connection_error" : "api_error");
        assert.doesNotMatch(result.text, /127\.0\.0\.1/);
      }
    }
  });

  test("another deployment answers a stream instead", async () => {
    stage.sick.answer({ instead: "hang" });
    // The well one has as long: time enough on a busy machine.
    const changes = { retries: 1, body: { stream_timeout: 4 } };
    const streams = calls.filter(({ stream }) => stream);
    const asked = providers.flatMap((each) => streams.map((call) => stage.call(call, `${each}-pair`, changes)));
    for (const { status, text } of await Promise.all(asked)) assert.equal(status, 200, text);
  });
});

describe("a provider that gives its key away", () => {
  const answers: Readonly<Record<string, ScriptedAnswer>> = {
    "in an OpenAI error": jsonAnswer(
      providerError("openai", `Incorrect API key provided: ${canary}.`, canary, canary),
      401,
    ),
    "in an Anthropic error": jsonAnswer(providerError("anthropic", `bad x-api-key ${canary}`, canary), 400),
    "in a text": { status: 500, body: `key ${canary}` },
    "in a header": jsonAnswer(providerError("openai", "m", "t"), 429, {
      "x-ratelimit-reset": canary,
      "retry-after": canary,
    }),
    "in garbage": { body: `{"choices": ${canary}` },
    "in a wrong type": { headers: { "content-type": canary }, body: canary },
    "in an error with a 200": jsonAnswer(providerError("openai", `key ${canary}`, "t")),
    "in a stream": { headers: { "content-type": "text/event-stream" }, body: `data: ${canary}\n\n` },
    "in an error event": {
      headers: { "content-type": "text/event-stream" },
      body: `event: error\ndata: {"type":"error","error":{"type":"${canary}","message":"${canary}"}}\n\n`,
    },
  };
  for (const [name, answer] of Object.entries(answers)) {
    test(name, async () => {
      for (const provider of providers) {
        for (const call of calls) {
          const { result } = await during(stage, answer, () => stage.call(call, `${provider}-alone`));
          assert.ok(result.status >= 400, result.text);
          readErrorAnswer(result, call.dialect, secrets);
        }
      }
    });
  }
});

test("a failed call leaves no spend row, an answer with an absurd usage one", async () => {
  const key = await generateKey(stage.gateway, { max_budget: 1 });
  const failing: readonly ScriptedAnswer[] = [
    jsonAnswer(providerError("openai", "down", "api_error"), 500),
    jsonAnswer({ hello: "world" }),
    { instead: "cut" },
  ];
  for (const provider of providers) {
    for (const call of calls) {
      for (const answer of failing) {
        const { result } = await during(stage, answer, () => stage.call(call, `${provider}-alone`, { key }));
        assert.ok(result.status >= 500);
      }
    }
  }
  const usages: readonly unknown[] = [
    { prompt_tokens: -5, completion_tokens: 1e15, input_tokens: -5, output_tokens: 1e15 },
    { prompt_tokens: "many", completion_tokens: null, input_tokens: {}, output_tokens: [] },
    "none",
    null,
  ];
  for (const provider of providers) {
    for (const usage of usages) {
      const absurd = jsonAnswer({ ...(provider === "openai" ? completion() : message()), usage });
      const { result } = await during(stage, absurd, () => stage.call(calls[0], `${provider}-alone`, { key }));
      assert.equal(result.status, 200, result.text);
    }
  }
  const rows = await spendRows(stage.gateway, key, providers.length * usages.length);
  for (const row of rows) {
    assert.equal(row.usage_status, "success");
    assert.ok(row.cost_nano_usd >= 0 && row.cost_nano_usd < 1_000_000_000, `${row.cost_nano_usd} nano-dollars`);
  }
});

test("nothing that was printed holds a secret or a stack trace", () => {
  assertTellsNothing(stage.gateway.output(), secrets);
});
