import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { ScriptedAnswer } from "#chassis/testing/fake-upstream.ts";
import { assertTellsNothing, readError, readErrorAnswer } from "./harness/error-shape.ts";
import {
  type ClientCall,
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
  helloStream,
  jsonAnswer,
  message,
  messageEvent,
  providerError,
  streamAnswer,
} from "./harness/provider-answers.ts";
import type { RawAnswer } from "./harness/raw-request.ts";
import { generateKey, spendRows } from "./harness/spend.ts";

const secrets = [canary, masterKey];
const streams = calls.filter(({ stream }) => stream);
let stage: FailingProviders;
before(async () => {
  stage = await startFailingProviders();
});
after(() => stage?.stop());

/** An error in the middle of a provider's stream. */
function errorEvent(of: Dialect, text: string, type: string): string {
  const body = JSON.stringify(providerError(of, text, type));
  return of === "openai" ? `data: ${body}\n\n` : `event: error\ndata: ${body}\n\n`;
}

/** What follows the first words of a stream instead of their end, and what the client is told. */
type Break = readonly [name: string, rest: (of: Dialect) => string, ending: ScriptedAnswer["ending"], said: RegExp];
const breaks: readonly Break[] = [
  ["the connection is cut", () => "", "cut", /cut in the middle/],
  ["it ends without its closing event", () => "", "end", /ended before/],
  ["it ends in the middle of an event", (of) => helloStream[of][1].slice(0, 30), "end", /ended|malformed|JSON/],
  ["an event is no JSON", () => 'data: {"oops\n\n', "end", /JSON/],
  ["bytes of nothing", () => `data: \u0000\u0001${"\ufffd".repeat(50)}\n\n`, "end", /JSON/],
  ["an error is told", (of) => errorEvent(of, "the engine broke", "api_error"), "end", /the engine broke/],
  [
    "an error is told and the stream goes on",
    (of) => errorEvent(of, "the engine broke", "api_error") + helloStream[of][1],
    "end",
    /the engine broke/,
  ],
  ["an error gives the key away", (of) => errorEvent(of, `key ${canary} broke`, "api_error"), "end", /key … broke/],
  ["nothing more comes", () => "", "hang", /timed out/i],
];

describe("a stream that breaks in the middle", () => {
  for (const [name, rest, ending, said] of breaks) {
    test(name, async () => {
      const key = await generateKey(stage.gateway);
      for (const provider of providers) {
        const answer = streamAnswer(helloStream[provider][0] + rest(provider), { ending, pauseMs: 5 });
        // The first words have to come within it, also on a busy machine.
        const body = ending === "hang" ? { timeout: 4 } : {};
        // A deployment that answers would hide the failure; behind the first words it must not be asked.
        const broken = (call: ClientCall) => stage.call(call, `${provider}-pair`, { key, body, retries: 2 });
        const { result, asked } = await during(stage, answer, () => Promise.all(streams.map(broken)));
        assert.equal(asked, streams.length);
        for (const [at, call] of streams.entries()) assertBroken(result[at] ?? assert.fail(), call, said);
      }
      const rows = await spendRows(stage.gateway, key, providers.length * streams.length);
      for (const row of rows) {
        assert.equal(row.usage_status, "failed");
        assert.equal(row.usage_estimated, true);
        assert.ok(row.completion_tokens > 0 && row.cost_nano_usd > 0);
      }
    });
  }
});

/** The words that came stand before an error event of the dialect, which is the last thing in the stream. */
function assertBroken(answer: RawAnswer, call: ClientCall, said: RegExp): void {
  assert.equal(answer.status, 200);
  assert.match(answer.headers["content-type"] ?? "", /^text\/event-stream/);
  assert.ok(answer.headers["x-litellm-call-id"]);
  const events = answer.text.split("\n\n");
  assert.equal(events.pop(), "", "the last event is not whole");
  const last = events.pop() ?? "";
  assert.match(events.join("\n"), /Hello/);
  assert.doesNotMatch(answer.text, /data: \[DONE\]|event: message_stop/);
  const [, name = "", data = ""] = /^(?:event: (.*)\n)?data: (.*)$/.exec(last) ?? [];
  assert.equal(name, call.dialect === "anthropic" ? "error" : "");
  const error = readError(data, call.dialect, secrets);
  assert.match(error.message, said);
}

/** What comes instead of a first event that a client may see, and the status it gets. */
type Opening = readonly [name: string, answer: (of: Dialect) => ScriptedAnswer, status: (of: Dialect) => number];
const openings: readonly Opening[] = [
  ["an error", (of) => streamAnswer(errorEvent(of, "busy", "rate_limit_error")), () => 429],
  [
    "an overload",
    (of) => streamAnswer(errorEvent(of, "busy", "overloaded_error")),
    (of) => (of === "openai" ? 503 : 529),
  ],
  ["nothing", () => streamAnswer(""), () => 502],
  ["comments only", () => streamAnswer(": wait\n\n: wait\n\n"), () => 502],
  ["garbage", () => streamAnswer("data: {oops\n\n"), () => 502],
  ["a cut connection", () => streamAnswer(": wait\n\n", { ending: "cut" }), () => 500],
  ["a whole answer", (of) => jsonAnswer(of === "openai" ? completion() : message()), () => 502],
];

describe("a stream that fails before its first event", () => {
  for (const [name, answer, status] of openings) {
    test(`${name} is a status, and worth another try`, async () => {
      for (const provider of providers) {
        for (const call of streams) {
          const { result } = await during(stage, answer(provider), () => stage.call(call, `${provider}-alone`));
          assert.equal(result.status, status(provider), `${provider} ${call.path}: ${result.text}`);
          readErrorAnswer(result, call.dialect, secrets);
          const again = () => stage.call(call, `${provider}-pair`, { retries: 1 });
          const retried = await during(stage, answer(provider), again);
          assert.equal(retried.result.status, 200, retried.result.text);
          assert.match(retried.result.text, /Hello/);
          assert.doesNotMatch(retried.result.text, /busy|oops/);
        }
      }
    });
  }

  test("keep-alives do not hold a client for ever", async () => {
    for (const provider of providers) {
      const waiting = streamAnswer(": wait\n\n".repeat(100), { pauseMs: 50 });
      for (const call of streams) {
        const impatient = () => stage.call(call, `${provider}-alone`, { body: { stream_timeout: 0.3 } });
        const { result } = await during(stage, waiting, impatient);
        assert.equal(result.status, 408, result.text);
      }
    }
  });

  test("a start without words is no first event of a chat", async () => {
    const start = messageEvent("message_start", { message: { ...message([]), stop_reason: null } });
    const answer = streamAnswer(start + errorEvent("anthropic", "busy", "overloaded_error"));
    const { result } = await during(stage, answer, () => stage.call(calls[1], "anthropic-pair", { retries: 1 }));
    assert.equal(result.status, 200, result.text);
    assert.match(result.text, /Hello/);
  });
});

test("a stream where none was asked for is no answer", async () => {
  for (const provider of providers) {
    for (const call of calls.filter(({ stream }) => !stream)) {
      const answer = streamAnswer(helloStream[provider].join(""));
      const { result } = await during(stage, answer, () => stage.call(call, `${provider}-alone`));
      assert.equal(result.status, 502, result.text);
      readErrorAnswer(result, call.dialect, secrets);
    }
  }
});

test("a failed start leaves no spend row", async () => {
  const key = await generateKey(stage.gateway);
  for (const provider of providers) {
    for (const [, answer] of openings) {
      for (const call of streams) {
        const { result } = await during(stage, answer(provider), () => stage.call(call, `${provider}-alone`, { key }));
        assert.ok(result.status >= 400);
      }
    }
  }
  // Rows come in the order of their calls: behind this one there is nothing that could still come.
  const body = { mock_response: "done" };
  assert.equal((await stage.call(calls[0], "openai-alone", { key, body })).status, 200);
  const [row] = await spendRows(stage.gateway, key, 1);
  assert.equal(row?.usage_status, "success");
});

test("nothing that was printed holds a secret or a stack trace", () => {
  assertTellsNothing(stage.gateway.output(), secrets);
});
