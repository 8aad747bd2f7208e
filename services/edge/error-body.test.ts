import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { gatewayError, upstreamError } from "#chassis/errors.ts";
import { Reason, UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import { type Dialect, errorAnswer, errorEvent } from "./error-body.ts";

const reasons: Record<keyof typeof Reason, [status: number, type: string]> = {
  UNSPECIFIED: [500, "internal_server_error"],
  INVALID_REQUEST: [400, "invalid_request_error"],
  KEY_INVALID: [401, "auth_error"],
  KEY_EXPIRED: [401, "expired_key"],
  KEY_BLOCKED: [401, "auth_error"],
  MODEL_ACCESS_DENIED: [401, "key_model_access_denied"],
  PERMISSION_DENIED: [403, "auth_error"],
  MODEL_NOT_FOUND: [404, "not_found_error"],
  BUDGET_EXCEEDED: [400, "budget_exceeded"],
  RATE_LIMITED: [429, "None"],
  NO_DEPLOYMENT_AVAILABLE: [429, "throttling_error"],
  NOT_FOUND: [404, "not_found_error"],
  CONFLICT: [409, "bad_request_error"],
  UNAVAILABLE: [503, "service_unavailable_error"],
  BODY_TOO_LARGE: [413, "invalid_request_error"],
  UNPRICED: [400, "budget_exceeded"],
  OPERATION_UNSUPPORTED: [400, "invalid_request_error"],
  ALREADY_TEAM_MEMBER: [400, "team_member_already_in_team"],
};

test("every reason has its status and type", () => {
  for (const [name, [status, type]] of Object.entries(reasons)) {
    const reason = Reason[name as keyof typeof Reason];
    const answer = errorAnswer(gatewayError(reason, "because"), "openai", "call-1");
    assert.equal(answer.status, status, name);
    assert.equal(answer.hidden, false);
    assert.deepEqual(JSON.parse(answer.body), { error: { message: "because", type, param: null, code: `${status}` } });
  }
});

const kinds: Record<keyof typeof UpstreamErrorKind, [status: number, type: string, anthropicType: string]> = {
  UNSPECIFIED: [500, "internal_server_error", "api_error"],
  BAD_REQUEST: [400, "invalid_request_error", "invalid_request_error"],
  AUTHENTICATION: [401, "authentication_error", "authentication_error"],
  PERMISSION_DENIED: [403, "permission_error", "permission_error"],
  NOT_FOUND: [404, "not_found_error", "not_found_error"],
  TIMEOUT: [408, "timeout_error", "timeout_error"],
  UNPROCESSABLE: [422, "invalid_request_error", "invalid_request_error"],
  RATE_LIMITED: [429, "throttling_error", "rate_limit_error"],
  INTERNAL: [500, "internal_server_error", "api_error"],
  BAD_GATEWAY: [502, "bad_gateway_error", "api_error"],
  UNAVAILABLE: [503, "service_unavailable_error", "api_error"],
  CONNECTION: [500, "api_connection_error", "api_error"],
  CONTEXT_WINDOW: [400, "invalid_request_error", "invalid_request_error"],
  CONTENT_POLICY: [400, "invalid_request_error", "invalid_request_error"],
};

test("every kind of provider failure has its status and type", () => {
  for (const [name, [status, type, anthropicType]] of Object.entries(kinds)) {
    const kind = UpstreamErrorKind[name as keyof typeof UpstreamErrorKind];
    const error = upstreamError({ kind, httpStatus: 0, provider: "p", retryable: false, message: "said" });
    const openai = errorAnswer(error, "openai", "call-1");
    assert.equal(openai.status, status, name);
    assert.equal(JSON.parse(openai.body).error.type, type, name);
    assert.equal(JSON.parse(openai.body).error.code, `${status}`, name);
    const anthropic = JSON.parse(errorAnswer(error, "anthropic", "call-1").body);
    assert.equal(anthropic.error.type, anthropicType, name);
    assert.equal(anthropic.request_id, "call-1");
  }
});

test("Anthropic's type follows the status where OpenAI's word says less", () => {
  const cases: [status: number, type: string, expected: string][] = [
    [400, "invalid_request_error", "invalid_request_error"],
    [401, "invalid_request_error", "authentication_error"],
    [404, "invalid_request_error", "not_found_error"],
    [413, "invalid_request_error", "request_too_large"],
    [422, "invalid_request_error", "invalid_request_error"],
    [529, "overloaded_error", "overloaded_error"],
    [500, "server_error", "api_error"],
  ];
  for (const [httpStatus, type, expected] of cases) {
    const kind = UpstreamErrorKind.UNSPECIFIED;
    const error = upstreamError({ kind, httpStatus, provider: "openai", retryable: false, message: "said", type });
    assert.equal(JSON.parse(errorAnswer(error, "anthropic", "c").body).error.type, expected, `${httpStatus} ${type}`);
  }
  const large = errorAnswer(gatewayError(Reason.BODY_TOO_LARGE, "large"), "anthropic", "c");
  assert.equal(JSON.parse(large.body).error.type, "request_too_large");
});

test("the provider's status, type, code, param, message and further members stay", () => {
  const provider = {
    message: "too long",
    type: "tokens",
    code: "context_length_exceeded",
    param: "messages",
    failed: "x",
  };
  const answer = errorAnswer(
    upstreamError({
      kind: UpstreamErrorKind.UNAVAILABLE,
      httpStatus: 529,
      provider: "openai",
      retryable: true,
      retryAfterMs: 1500,
      message: provider.message,
      type: provider.type,
      code: provider.code,
      param: provider.param,
      body: Buffer.from(JSON.stringify({ error: provider })),
    }),
    "openai",
    "call-1",
  );
  assert.equal(answer.status, 529);
  assert.deepEqual(JSON.parse(answer.body), { error: provider });
  assert.deepEqual(answer.headers, ["retry-after", "2"]);
});

test("members of a provider's body stay within its dialect", () => {
  const cases: [body: string, dialect: Dialect, kept: boolean][] = [
    ['{"error":{"extra":1}}', "openai", true],
    ['{"error":{"extra":1}}', "anthropic", false],
    ['{"type":"error","error":{"extra":1}}', "anthropic", true],
    ['{"type":"error","error":{"extra":1}}', "responses", false],
    ['{"error":"text"}', "openai", false],
    ["<html>", "openai", false],
  ];
  for (const [body, dialect, kept] of cases) {
    const kind = UpstreamErrorKind.BAD_REQUEST;
    const init = { kind, httpStatus: 400, provider: "p", retryable: false, message: "m", body: Buffer.from(body) };
    const answer = JSON.parse(errorAnswer(upstreamError(init), dialect, "c").body);
    assert.equal("extra" in answer.error, kept, `${dialect} ${body.slice(0, 60)}`);
  }
});

test("what was not written for clients stays inside", () => {
  const cases: [unknown, number][] = [
    [new Error("password=hunter2"), 500],
    ["hunter2", 500],
    [new ConnectError("hunter2", Code.Internal), 500],
    [new ConnectError("hunter2", Code.InvalidArgument), 500],
    [new ConnectError("hunter2", Code.Unauthenticated), 500],
    [new ConnectError("connect ECONNREFUSED hunter2", Code.Unavailable), 503],
    [new ConnectError("hunter2", Code.DeadlineExceeded), 408],
  ];
  for (const [error, status] of cases) {
    for (const dialect of ["openai", "anthropic"] as const) {
      const answer = errorAnswer(error, dialect, "call-1");
      assert.equal(answer.status, status);
      assert.ok(answer.hidden);
      assert.ok(!answer.body.includes("hunter2"));
      assert.match(answer.body, /call-1/);
    }
  }
});

test("an unknown key is told apart from none, a limit names itself, a rejected credential names its provider", () => {
  const unknown = errorAnswer(gatewayError(Reason.KEY_INVALID, "m", { param: "key" }), "openai", "c");
  assert.equal(JSON.parse(unknown.body).error.type, "token_not_found_in_db");
  const limited = gatewayError(Reason.RATE_LIMITED, "m", { limitType: "requests", retryAfterMs: 60_000 });
  assert.deepEqual(errorAnswer(limited, "openai", "c").headers, ["retry-after", "60", "rate_limit_type", "requests"]);
  const rejected = upstreamError({
    kind: UpstreamErrorKind.AUTHENTICATION,
    httpStatus: 401,
    provider: "groq",
    retryable: false,
    message: "Invalid API Key",
  });
  assert.equal(JSON.parse(errorAnswer(rejected, "openai", "c").body).error.message, "groq: Invalid API Key");
});

test("an error in a stream is an event of its dialect", () => {
  const of = (dialect: Dialect) =>
    errorEvent(errorAnswer(gatewayError(Reason.UNAVAILABLE, "m"), dialect, "c"), dialect);
  assert.match(of("openai"), /^data: \{"error":\{.*\}\}\n\n$/);
  assert.match(of("anthropic"), /^event: error\ndata: \{"type":"error","error":\{.*\},"request_id":"c"\}\n\n$/);
  assert.match(
    of("responses"),
    /^event: error\ndata: \{"type":"error","code":"503","message":"m",.*"error":\{.*\}\}\n\n$/,
  );
});
