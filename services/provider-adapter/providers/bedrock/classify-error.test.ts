import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { UpstreamErrorKind as Kind } from "#gen/sluice/error/v1/error_pb.ts";
import { bedrockFixture } from "../../testing/event-stream-frames.ts";
import { classifyError } from "./classify-error.ts";

const coral = "http://internal.amazon.com/coral/com.amazon.bedrock/";

test("statuses, exceptions and phrases", () => {
  const cases: readonly [number, string, string, Kind, number, boolean][] = [
    [400, "ValidationException", "Malformed input request", Kind.BAD_REQUEST, 400, false],
    [400, "ValidationException", "Input Tokens Exceeded: …", Kind.CONTEXT_WINDOW, 400, false],
    [400, "ValidationException", "prompt is too long: 9 tokens", Kind.CONTEXT_WINDOW, 400, false],
    [400, "ValidationException", "Output blocked by content filtering policy", Kind.CONTENT_POLICY, 400, false],
    [403, "AccessDeniedException", "You don't have access to the model", Kind.PERMISSION_DENIED, 403, false],
    [403, "InvalidSignatureException", "Signature expired", Kind.AUTHENTICATION, 401, false],
    [403, "UnrecognizedClientException", "The security token is invalid.", Kind.AUTHENTICATION, 401, false],
    [404, "ResourceNotFoundException", "Model not found", Kind.NOT_FOUND, 404, false],
    [408, "ModelTimeoutException", "Timed out", Kind.TIMEOUT, 408, true],
    [424, "ModelErrorException", "The model failed", Kind.INTERNAL, 424, true],
    [429, "ThrottlingException", "Too many requests", Kind.RATE_LIMITED, 429, true],
    [500, "InternalServerException", "Oh", Kind.UNAVAILABLE, 500, true],
    [503, "ServiceUnavailableException", "Busy", Kind.UNAVAILABLE, 503, true],
  ];
  for (const [status, exception, message, kind, httpStatus, retryable] of cases) {
    const body = Buffer.from(JSON.stringify({ message }));
    const error = classifyError(status, { "x-amzn-errortype": `${exception}:${coral}` }, body);
    deepStrictEqual([error.kind, error.httpStatus, error.retryable], [kind, httpStatus, retryable], message);
    deepStrictEqual([error.message, error.code], [message, exception]);
  }
});

test("other bodies", () => {
  strictEqual(classifyError(400, {}, bedrockFixture("error.json")).kind, Kind.CONTEXT_WINDOW);
  const named = classifyError(404, {}, Buffer.from('{"__type":"com.amazon.coral#ResourceNotFoundException"}'));
  deepStrictEqual([named.code, named.message], ["ResourceNotFoundException", "Bedrock answered 404"]);
  const wait = classifyError(429, { "retry-after": "2" }, Buffer.from("<html>"));
  deepStrictEqual([wait.retryAfterMs, wait.message], [2000, "Bedrock answered 429"]);
});
