import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, test } from "node:test";
import { Code, type ConnectError } from "@connectrpc/connect";
import { catalog } from "#catalog/catalog.ts";
import { findGatewayError, findUpstreamError } from "#chassis/errors.ts";
import {
  type Chunking,
  type RecordedRequest,
  type ScriptedAnswer,
  startFakeUpstream,
} from "#chassis/testing/fake-upstream.ts";
import { UpstreamErrorKind as Kind, Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import { type CallSettings, type Collected, startAdapter } from "../testing/adapter-under-test.ts";
import { answers, chatRequests } from "../testing/conformance-cases.ts";
import type {
  AnswerCase,
  ConformanceSubject,
  RequestCase,
  Said,
  StreamEnding,
} from "../testing/conformance-subject.ts";
import { readChunks, readCompletion } from "../testing/read-chat.ts";
import { objectOf, parseObject } from "../translate/json-reading.ts";

/**
 * Every provider with a dialect of its own, through every case, over HTTP: what a client sends reaches it in its words,
 * what it answers reaches the client, and nothing that it can do wrong looks like a complete answer. A provider takes part
 * by a file `__fixtures__/<id>/conformance.ts`, which also says what it cannot do; one without is a failure.
 */

/** Providers that have no chat, or no dialect to test, with the reason. Those of OpenAI's format have a suite of their own. */
const left: Readonly<Record<string, string>> = {
  grpc: "speaks no HTTP: relay/relay.test.ts has its cases",
  gigachat: "takes no stop sequence, which most cases ask for",
  langflow: "a flow's text alone, without parameters of a model",
  langgraph: "a graph's text alone, without parameters of a model",
  nlp_cloud: "texts alone, which come whole",
  "text-completion-codestral": "completions alone",
  jina_ai: "embeddings and rerank alone",
  mock: "answers by itself",
  replicate: "an answer takes several requests, and a stream counts no tokens",
  triton: "counts no tokens, and its streams have no end of their own",
  voyage: "embeddings and rerank alone",
};

const native = catalog.filter(({ id, kind }) => kind !== "openai" && left[id] === undefined).map(({ id }) => id);
const file = (id: string) => new URL(`./__fixtures__/${id}/conformance.ts`, import.meta.url);
const missing = native.filter((id) => !existsSync(file(id)));

interface Named extends ConformanceSubject {
  readonly provider: string;
  readonly title: string;
}

async function subjectsOf(provider: string): Promise<Named[]> {
  const { subjects }: { subjects: readonly ConformanceSubject[] } = await import(file(provider).href);
  return subjects.map((subject) => ({
    ...subject,
    provider,
    title: subject.name === undefined ? provider : `${provider} (${subject.name})`,
  }));
}

const subjects = (await Promise.all(native.filter((id) => !missing.includes(id)).map(subjectsOf))).flat();
const upstream = await startFakeUpstream();
const adapter = startAdapter();
after(async () => {
  await upstream.close();
  await adapter.close();
});

test("every provider with a dialect of its own takes part", () => {
  assert.deepEqual(missing, []);
  assert.ok(subjects.length > 0);
});

const json = { "content-type": "application/json" };
const requestCases = Object.keys(chatRequests) as RequestCase[];
const answerCases = Object.keys(answers) as AnswerCase[];
const message = "the provider's own words";

interface Played extends Collected {
  readonly requests: readonly RecordedRequest[];
}

/** Plays one call against a scripted answer. */
async function play(subject: Named, answer: ScriptedAnswer, changes: Partial<CallSettings> = {}): Promise<Played> {
  upstream.answer(answer);
  const before = upstream.requests.length;
  const collected = await adapter.call({
    body: { model: "group", ...chatRequests.text },
    ...changes,
    target: {
      provider: subject.provider,
      model: subject.model,
      baseUrl: `${upstream.url}${subject.base ?? ""}`,
      sealedCredential: adapter.seal(subject.credential),
      settings: { ...subject.settings },
      ...changes.target,
    },
  });
  return { ...collected, requests: upstream.requests.slice(before) };
}

function wholeAnswer({ wire, model }: Named, said: Said): ScriptedAnswer {
  return { headers: json, body: JSON.stringify(wire.whole(said, model)) };
}

function streamOf({ wire, model }: Named, said: Said, ending: StreamEnding = "complete"): Uint8Array[] {
  return wire.stream(said, ending, model);
}

function streamAnswer({ wire }: Named, events: readonly Uint8Array[], chunking: Chunking = "whole"): ScriptedAnswer {
  return { headers: { "content-type": wire.streamType }, body: Buffer.concat(events), chunking };
}

const upstreamErrorOf = ({ error }: Collected) => (error === undefined ? undefined : findUpstreamError(error));

function assertNoError({ error }: Played, name: string): void {
  assert.equal(String(error ?? ""), "", name);
}

/** The call failed as its provider's fault, and nothing of it looks complete. */
function assertBroken(played: Played, name: string): void {
  assert.ok(upstreamErrorOf(played), `${name}: ${played.error ?? `no error: ${played.text.slice(0, 300)}`}`);
  assertUnfinished(played, name);
}

function assertUnfinished({ finished, lasts, text }: Played, name: string): void {
  assert.equal(finished, undefined, name);
  assert.ok(!lasts.includes(true), name);
  assert.doesNotMatch(text, /\[DONE\]/, name);
}

for (const subject of subjects) {
  const { title, wire, paths } = subject;
  const chatBody = (name: RequestCase, stream: boolean) => ({
    model: "group",
    ...chatRequests[name],
    ...(stream ? { stream, stream_options: { include_usage: true } } : {}),
  });

  test(`${title}: every request arrives in its words, or is refused by the parameter's name`, async () => {
    for (const name of requestCases) {
      for (const stream of [false, true]) {
        const said = answers.text;
        const answer = stream ? streamAnswer(subject, streamOf(subject, said)) : wholeAnswer(subject, said);
        const played = await play(subject, answer, { stream, body: chatBody(name, stream) });
        const refusal = subject.refuses?.[name];
        if (refusal !== undefined) {
          assertRefused(played, `${name}: ${refusal}`);
          continue;
        }
        const [request] = played.requests;
        assertNoError(played, name);
        assert.equal(played.requests.length, 1, name);
        assert.equal(request?.url, stream ? paths.stream : paths.whole);
        const [header, start] = subject.authorization;
        assert.ok(String(request?.headers[header]).startsWith(start), `${header}: ${request?.headers[header]}`);
        const body = objectOf(parseObject(String(request?.body)));
        assert.partialDeepStrictEqual(body, subject.sends?.[name] ?? wire.sends[name], name);
      }
    }
  });

  test(`${title}: every answer reaches the client, whole and streamed, with its usage`, async () => {
    for (const name of answerCases.filter((own) => subject.neverAnswers?.[own] === undefined)) {
      const said = answers[name];
      const body = chatBody(said.calls.length > 0 ? "tools" : "text", false);
      const whole = await play(subject, wholeAnswer(subject, said), { body });
      assertSaid(subject, whole, readCompletion(whole.text), said, name);
      for (const chunking of ["whole", { bytes: 7 }] as const) {
        const streamBody = chatBody(said.calls.length > 0 ? "tools" : "text", true);
        const answer = streamAnswer(subject, streamOf(subject, said), chunking);
        const streamed = await play(subject, answer, { stream: true, body: streamBody });
        assertNoError(streamed, name);
        assertSaid(subject, streamed, readChunks(streamed.text), said, `${name}, streamed`);
      }
    }
  });

  test(`${title}: Anthropic's messages come back as messages`, async () => {
    const body = { model: "group", max_tokens: 100, messages: [{ role: "user", content: "Hi" }] };
    const operation = Operation.MESSAGES;
    const whole = await play(subject, wholeAnswer(subject, answers.text), { operation, body });
    assertNoError(whole, title);
    const { content, stop_reason } = objectOf(parseObject(whole.text));
    assert.partialDeepStrictEqual(
      { content, stop_reason },
      {
        content: [{ type: "text", text: answers.text.text }],
        stop_reason: "end_turn",
      },
    );
    const answer = streamAnswer(subject, streamOf(subject, answers.text));
    const streamed = await play(subject, answer, { operation, stream: true, body: { ...body, stream: true } });
    assertNoError(streamed, title);
    const events = [...streamed.text.matchAll(/^event: (\w+)$/gm)].map(([, name]) => name);
    assert.equal(events[0], "message_start");
    assert.equal(events.at(-1), "message_stop");
  });

  test(`${title}: every failure keeps its status and message`, async () => {
    for (const [status, kind, retryable] of failures) {
      for (const stream of [false, true]) {
        const answer = {
          status,
          headers: { ...json, "retry-after": "2" },
          body: JSON.stringify(wire.failure(status, message)),
        };
        const played = await play(subject, answer, { stream, body: chatBody("text", stream) });
        const detail = upstreamErrorOf(played);
        const seen = [detail?.kind, detail?.httpStatus, detail?.retryable, detail?.message, detail?.provider];
        assert.deepEqual(
          seen,
          [subject.kinds?.[status] ?? kind, status, retryable, message, subject.provider],
          `${status}: ${played.error}`,
        );
        if (status === 429) assert.equal(detail?.retryAfter?.seconds, 2n);
        assertUnfinished(played, String(status));
      }
    }
    for (const status of [401, 503]) {
      const played = await play(subject, { status, headers: { "content-type": "text/html" }, body: "<html>" });
      assert.equal(upstreamErrorOf(played)?.httpStatus, status, "a page");
    }
  });

  test(`${title}: a whole answer that is none is an error`, async () => {
    const bodies: [string, string][] = [
      ["a page", "<html><body>Sign in</body></html>"],
      ["half", JSON.stringify(wire.whole(answers.text, subject.model)).slice(0, -20)],
      ["a list", "[]"],
      ["nothing", ""],
      ["an error with status 200", JSON.stringify(wire.failure(500, message))],
      ...wire.empty.map((own): [string, string] => [`empty: ${JSON.stringify(own)}`, JSON.stringify(own)]),
    ];
    for (const [name, body] of bodies) {
      const headers = name === "a page" ? { "content-type": "text/html" } : json;
      for (const stream of [false, true]) {
        assertBroken(
          await play(subject, { headers, body }, { stream, body: chatBody("text", stream) }),
          `${name}, ${stream}`,
        );
      }
    }
  });

  test(`${title}: a stream that goes wrong never looks complete`, async () => {
    const events = streamOf(subject, answers.text);
    const begun = streamOf(subject, answers.text, "no finish");
    const some = begun.slice(0, -2);
    const stream = (own: readonly Uint8Array[], ending: ScriptedAnswer["ending"] = "end") =>
      play(subject, { ...streamAnswer(subject, own), ending }, { stream: true, body: chatBody("text", true) });
    assertBroken(await stream(begun), "no finish");
    assertBroken(await stream(begun, "cut"), "cut");
    assertBroken(await stream([]), "nothing");
    assertBroken(await stream([Buffer.from("data: [DONE]\n\n")]), "an end of nothing");
    assertBroken(await stream([...some, wire.brokenEvent, ...events.slice(some.length)]), "a broken event");
    assertBroken(await stream([Buffer.from("<html><body>Sign in</body></html>\n\n")]), "a page");
    const failed = await stream([...some, wire.failedEvent(message)]);
    assertBroken(failed, "an error in the stream");
    assert.match(failed.error?.message ?? "", new RegExp(message));
    assertBroken(await stream([...begun, wire.longEvent(33 * 1024 * 1024)]), "an event of 33 MB");
  });

  test(`${title}: an unknown event and a second finish do no harm`, async () => {
    const events = streamOf(subject, answers.text);
    const stream = (own: readonly Uint8Array[]) =>
      play(subject, streamAnswer(subject, own), { stream: true, body: chatBody("text", true) });
    for (const at of wire.unknownEvent === undefined ? [] : [1, 2]) {
      const unknown = await stream([...events.slice(0, at), wire.unknownEvent ?? [], events.slice(at)].flat());
      assertNoError(unknown, "an unknown event");
      assertSaid(subject, unknown, readChunks(unknown.text), answers.text, "an unknown event");
    }
    const twice = await stream(streamOf(subject, answers.text, "two finishes"));
    if (twice.error !== undefined) assertBroken(twice, "two finishes");
    else {
      const read = readChunks(twice.text);
      const finishes = wire.passed === undefined ? read.finishes : read.finishes.slice(1);
      assertSaid(subject, twice, { ...read, finishes }, answers.text, "two finishes");
    }
    const long = await stream([...events.slice(0, 2), wire.longEvent(1024 * 1024), ...events.slice(2)]);
    assert.ok(long.error === undefined || upstreamErrorOf(long) !== undefined, "an event of 1 MB");
  });

  test(`${title}: a client that leaves takes the call with it`, async () => {
    const abort = new AbortController();
    const answer = { ...streamAnswer(subject, streamOf(subject, answers.text, "no finish")), ending: "hang" } as const;
    const played = await play(subject, answer, {
      stream: true,
      body: chatBody("text", true),
      signal: abort.signal,
      onChunk: () => abort.abort(),
    });
    assert.equal(played.error?.code, Code.Canceled);
    await played.requests[0]?.aborted;
    assertUnfinished(played, "cancelled");
  });

  test(`${title}: a missing credential is named`, async () => {
    const { missingCredential } = subject;
    if ("neededNot" in missingCredential) return;
    const { base = "", names } = missingCredential;
    const played = await play(subject, {}, { target: { baseUrl: base, sealedCredential: new Uint8Array() } });
    const detail = upstreamErrorOf(played);
    assert.deepEqual(
      [detail?.kind, detail?.httpStatus, detail?.retryable],
      [Kind.AUTHENTICATION, 401, false],
      `${played.error}`,
    );
    assert.match(detail?.message ?? "", new RegExp(names));
    assert.equal(played.requests.length, 0);
  });
}

const failures: [status: number, kind: Kind, retryable: boolean][] = [
  [400, Kind.BAD_REQUEST, false],
  [401, Kind.AUTHENTICATION, false],
  [404, Kind.NOT_FOUND, false],
  [429, Kind.RATE_LIMITED, true],
  [500, Kind.INTERNAL, true],
  [503, Kind.UNAVAILABLE, true],
];

function assertRefused({ error, requests }: Played, name: string): void {
  assert.equal(reasonOf(error), Reason.INVALID_REQUEST, `${name}: ${error}`);
  assert.equal(requests.length, 0, name);
}

function reasonOf(error: ConnectError | undefined): Reason | undefined {
  return error === undefined ? undefined : findGatewayError(error)?.reason;
}

function assertSaid(
  subject: Named,
  { finished, error }: Played,
  read: ReturnType<typeof readChunks>,
  said: Said,
  name: string,
): void {
  assert.equal(String(error ?? ""), "", name);
  assert.equal(read.text, said.text, name);
  assert.equal(read.reasoning, said.reasoning, name);
  assert.deepEqual(
    read.calls.map(({ name: tool, input }) => ({ name: tool, input })),
    said.calls.map(({ name: tool, input }) => ({ name: tool, input })),
    name,
  );
  assert.equal(new Set(read.calls.map(({ id }) => id)).size, said.calls.length, `${name}: ids of calls`);
  assert.deepEqual(read.finishes, [said.finish], name);
  assert.equal(finished?.finishReason, said.finish, name);
  const { usage } = finished ?? {};
  const metered = [
    usage?.inputTokens,
    usage?.cacheReadTokens,
    usage?.outputTokens,
    usage?.reasoningTokens,
    usage?.estimated,
  ];
  assert.deepEqual(metered, [...subject.wire.metered.map(BigInt), false], name);
  const { prompt_tokens, completion_tokens, total_tokens } = read.usage;
  assert.deepEqual([prompt_tokens, completion_tokens, total_tokens], [20, 7, 27], name);
}
