import assert from "node:assert/strict";
import { test } from "node:test";
import { UpstreamErrorKind as Kind } from "#gen/sluice/error/v1/error_pb.ts";
import { classifyError } from "./errors.ts";

function classify(status: number, body: string, headers: Record<string, string> = {}) {
  return classifyError("openai", status, headers, Buffer.from(body));
}

const openAi = (fields: object) =>
  JSON.stringify({ error: { message: "m", type: "t", param: null, code: null, ...fields } });

const cases: [number, string, number, boolean][] = [
  [400, openAi({}), Kind.BAD_REQUEST, false],
  [401, openAi({ code: "invalid_api_key" }), Kind.AUTHENTICATION, false],
  [402, openAi({}), Kind.PERMISSION_DENIED, false],
  [403, openAi({}), Kind.PERMISSION_DENIED, false],
  [404, openAi({ code: "model_not_found" }), Kind.NOT_FOUND, false],
  [408, "", Kind.TIMEOUT, true],
  [409, openAi({}), Kind.BAD_REQUEST, true],
  [413, openAi({}), Kind.BAD_REQUEST, false],
  [413, openAi({ message: "Request too large for model", code: "rate_limit_exceeded" }), Kind.RATE_LIMITED, true],
  [422, '{"detail":[{"loc":["body","x"],"msg":"bad"}]}', Kind.UNPROCESSABLE, false],
  [429, openAi({}), Kind.RATE_LIMITED, true],
  [500, "<html>oops</html>", Kind.INTERNAL, true],
  [502, "", Kind.BAD_GATEWAY, true],
  [503, "", Kind.UNAVAILABLE, true],
  [504, "", Kind.TIMEOUT, true],
  [529, "", Kind.UNAVAILABLE, true],
  [520, "", Kind.INTERNAL, true],
  [418, "", Kind.BAD_REQUEST, false],
  [400, openAi({ code: "context_length_exceeded" }), Kind.CONTEXT_WINDOW, false],
  [400, openAi({ message: "This model's maximum context length is 8192 tokens" }), Kind.CONTEXT_WINDOW, false],
  [400, openAi({ code: "content_policy_violation" }), Kind.CONTENT_POLICY, false],
  [400, openAi({ code: "model_not_found" }), Kind.NOT_FOUND, false],
];

test("every status has its kind, and keeps its number", () => {
  for (const [status, body, kind, retryable] of cases) {
    const init = classify(status, body);
    assert.deepEqual([init.kind, init.httpStatus, init.retryable], [kind, status, retryable], `${status} ${body}`);
  }
});

test("the message is found in every shape of body", () => {
  const bodies: [string, string][] = [
    [openAi({ message: "words" }), "words"],
    ['{"error":"words"}', "words"],
    ['{"message":"words","code":"1500"}', "words"],
    ['{"detail":"words"}', "words"],
    ['{"success":false,"errors":[{"code":10000,"message":"words"}]}', "words"],
    ['{"detail":[{"loc":["body","n"],"msg":"too big"}]}', "body.n: too big"],
    ["words", "words"],
    ["", "openai answered with status 400"],
    ["<html>words</html>", "openai answered with status 400"],
    ["null", "null"],
    ['{"error":null}', "openai answered with status 400"],
    ['{"error":{"message":{"detail":[]}}}', "openai answered with status 400"],
  ];
  for (const [body, message] of bodies) assert.equal(classify(400, body).message, message, body);
});

test("how long to wait is read from the headers", () => {
  const headers: [Record<string, string>, number | undefined][] = [
    [{}, undefined],
    [{ "retry-after": "3" }, 3000],
    [{ "retry-after": "0.5" }, 500],
    [{ "retry-after": "9", "retry-after-ms": "120" }, 120],
    [{ "retry-after": "Fri, 01 Jan 2027 00:00:10 GMT", date: "Fri, 01 Jan 2027 00:00:00 GMT" }, 10_000],
    [{ "retry-after": "Fri, 01 Jan 2027 00:00:00 GMT", date: "Fri, 01 Jan 2027 00:00:10 GMT" }, 0],
    [{ "retry-after": "soon" }, undefined],
    [{ "retry-after": "-3" }, undefined],
  ];
  for (const [given, ms] of headers) assert.equal(classify(429, "", given).retryAfterMs, ms, JSON.stringify(given));
});
