import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import { classifyGoogleError } from "./classify-error.ts";

const body = (message: string, rest: object = {}) =>
  Buffer.from(JSON.stringify({ error: { code: 1, message, status: "S", ...rest } }));

test("what a status and a text mean", () => {
  const cases: readonly [number, string, UpstreamErrorKind, boolean][] = [
    [400, "Invalid value", UpstreamErrorKind.BAD_REQUEST, false],
    [400, "API key not valid. Please pass a valid API key.", UpstreamErrorKind.AUTHENTICATION, false],
    [
      400,
      "The input token count (9) exceeds the maximum number of tokens allowed (8).",
      UpstreamErrorKind.CONTEXT_WINDOW,
      false,
    ],
    [400, "Request payload size exceeds the limit", UpstreamErrorKind.CONTEXT_WINDOW, false],
    [400, "The response was blocked.", UpstreamErrorKind.CONTENT_POLICY, false],
    [401, "x", UpstreamErrorKind.AUTHENTICATION, false],
    [403, "x", UpstreamErrorKind.PERMISSION_DENIED, false],
    [404, "x", UpstreamErrorKind.NOT_FOUND, false],
    [429, "Resource exhausted", UpstreamErrorKind.RATE_LIMITED, true],
    [500, "x", UpstreamErrorKind.INTERNAL, true],
    [503, "The model is overloaded.", UpstreamErrorKind.UNAVAILABLE, true],
    [504, "x", UpstreamErrorKind.TIMEOUT, true],
    [418, "x", UpstreamErrorKind.BAD_REQUEST, false],
  ];
  for (const [status, message, kind, retryable] of cases) {
    const error = classifyGoogleError("gemini", status, {}, body(message));
    deepStrictEqual([error.kind, error.retryable, error.message, error.code], [kind, retryable, message, "S"]);
  }
});

test("a list of one error, as Vertex AI sends it", () => {
  const list = Buffer.from(`[${body("Oops").toString()}]`);
  strictEqual(classifyGoogleError("vertex_ai", 429, {}, list).message, "Oops");
});

test("how long to wait", () => {
  const details = [{ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: "12.5s" }];
  strictEqual(classifyGoogleError("gemini", 429, {}, body("x", { details })).retryAfterMs, 12_500);
  strictEqual(classifyGoogleError("gemini", 429, { "retry-after": "3" }, body("x", { details })).retryAfterMs, 3000);
  strictEqual(classifyGoogleError("gemini", 429, {}, body("x")).retryAfterMs, undefined);
});

test("what is no error of Google's, and a key in a text", () => {
  strictEqual(classifyGoogleError("gemini", 502, {}, Buffer.from("<html>")).message, "gemini answered 502");
  const leaked = classifyGoogleError("gemini", 400, {}, body("key AIzaSyA1234567890abcdef is bad"));
  ok(!leaked.message.includes("1234567890"));
});
