import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { UpstreamErrorKind as Kind } from "#gen/sluice/error/v1/error_pb.ts";
import { classifyError } from "./classify-error.ts";

const body = (type: string, message: string) =>
  Buffer.from(JSON.stringify({ type: "error", error: { type, message }, request_id: "req_1" }));

test("status and text tell the kind and whether a retry makes sense", () => {
  const cases: readonly [number, string, string, Kind, boolean][] = [
    [400, "invalid_request_error", "temperature: range: 0..1", Kind.BAD_REQUEST, false],
    [400, "invalid_request_error", "prompt is too long: 9 tokens > 8 maximum", Kind.CONTEXT_WINDOW, false],
    [400, "invalid_request_error", "Output blocked by content filtering policy", Kind.CONTENT_POLICY, false],
    [401, "authentication_error", "invalid x-api-key", Kind.AUTHENTICATION, false],
    [402, "billing_error", "no credit", Kind.BAD_REQUEST, false],
    [403, "permission_error", "no", Kind.PERMISSION_DENIED, false],
    [404, "not_found_error", "model: claude-x", Kind.NOT_FOUND, false],
    [408, "timeout_error", "slow", Kind.TIMEOUT, true],
    [413, "request_too_large", "Request exceeds the maximum size", Kind.BAD_REQUEST, false],
    [429, "rate_limit_error", "slow down", Kind.RATE_LIMITED, true],
    [500, "api_error", "Internal server error", Kind.INTERNAL, true],
    [502, "", "", Kind.BAD_GATEWAY, true],
    [503, "", "", Kind.UNAVAILABLE, true],
    [504, "timeout_error", "slow", Kind.TIMEOUT, true],
    [529, "overloaded_error", "Overloaded", Kind.UNAVAILABLE, true],
    [599, "", "", Kind.INTERNAL, true],
  ];
  for (const [status, type, message, kind, retryable] of cases) {
    const error = classifyError(status, {}, body(type, message));
    deepStrictEqual([error.kind, error.httpStatus, error.retryable, error.type], [kind, status, retryable, type]);
    strictEqual(error.message, message || `Anthropic answered ${status}`);
  }
});

test("headers tell when and whether to retry", () => {
  const cases: readonly [Record<string, string>, number | undefined, boolean][] = [
    [{ "retry-after": "3" }, 3000, true],
    [{ "retry-after": "1.5" }, 1500, true],
    [{ "retry-after": "3", "retry-after-ms": "250" }, 250, true],
    [{ "retry-after": "Tue, 01 Jan 2030 00:00:10 GMT", date: "Tue, 01 Jan 2030 00:00:00 GMT" }, 10_000, true],
    [{ "retry-after": "Tue, 01 Jan 2030 00:00:10 GMT" }, undefined, true],
    [{ "retry-after": "-1" }, undefined, true],
    [{ "retry-after": "" }, undefined, true],
    [{ "x-should-retry": "false" }, undefined, false],
  ];
  for (const [headers, retryAfterMs, retryable] of cases) {
    const error = classifyError(429, headers, body("rate_limit_error", "x"));
    deepStrictEqual([error.retryAfterMs, error.retryable], [retryAfterMs, retryable], JSON.stringify(headers));
  }
  strictEqual(classifyError(400, { "x-should-retry": "true" }, body("x", "y")).retryable, true);
});

test("a body that is not Anthropic's is survived, and a key in it is not kept", () => {
  for (const text of ["", "<html>Bad gateway</html>", "null", '{"error":"text"}']) {
    strictEqual(classifyError(502, {}, Buffer.from(text)).message, "Anthropic answered 502");
  }
  const error = classifyError(401, {}, body("authentication_error", "invalid key sk-ant-api03-abc_DEF"));
  ok(
    !error.message.includes("abc_DEF") &&
      !Buffer.from(error.body ?? [])
        .toString()
        .includes("abc_DEF"),
  );
});
