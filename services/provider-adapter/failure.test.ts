import assert from "node:assert/strict";
import { test } from "node:test";
import { Code } from "@connectrpc/connect";
import { findUpstreamError } from "#chassis/errors.ts";
import { HttpError, type HttpErrorCode } from "#chassis/http1/http-error.ts";
import { UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import { callError } from "./failure.ts";

const running = new AbortController().signal;

test("a mistake of ours is neither a provider's failure nor worth a retry", () => {
  for (const mistake of [new TypeError("x is not a function"), new RangeError("Maximum call stack size exceeded")]) {
    const error = callError("openai", mistake, running, false);
    assert.equal(error.code, Code.Internal);
    assert.equal(findUpstreamError(error), undefined);
    assert.ok(!error.message.includes(mistake.message));
    assert.equal(error.cause, mistake);
  }
});

test("what the network says is told by its code, also underneath", () => {
  const refused = Object.assign(new Error("connect ECONNREFUSED 10.0.0.1:443"), { code: "ECONNREFUSED" });
  for (const thrown of [refused, new TypeError("fetch failed", { cause: refused })]) {
    const error = callError("openai", thrown, running, false);
    assert.equal(findUpstreamError(error)?.kind, UpstreamErrorKind.CONNECTION);
    assert.equal(error.rawMessage, "openai: the connection was refused");
  }
});

test("what the HTTP client says is told as what it means", () => {
  const cut = ["CONNECTION", 500, "openai: the connection was cut"] as const;
  const late = ["TIMEOUT", 408, "openai: no answer in time"] as const;
  const cases: Readonly<Record<HttpErrorCode, readonly [keyof typeof UpstreamErrorKind, number, string, boolean?]>> = {
    HTTP_CONNECT_TIMEOUT: late,
    HTTP_HEAD_TIMEOUT: late,
    HTTP_BODY_TIMEOUT: late,
    HTTP_CUT: cut,
    HTTP_MALFORMED: ["BAD_GATEWAY", 502, "openai: the answer is malformed"],
    HTTP_REQUEST_INVALID: ["CONNECTION", 500, "openai: the request cannot be sent", false],
    HTTP_PROXY_UNREACHABLE: ["CONNECTION", 500, "openai: the proxy on the way cannot be reached"],
    HTTP_PROXY_REFUSED: ["CONNECTION", 500, "openai: the proxy on the way does not connect"],
    HTTP_CLOSED: ["CONNECTION", 500, "openai: the connection failed (HTTP_CLOSED)"],
  };
  for (const [code, [kind, status, message, retryable = true]] of Object.entries(cases)) {
    const error = callError("openai", new HttpError(code as HttpErrorCode, "underneath"), running, false);
    const detail = findUpstreamError(error);
    assert.equal(error.rawMessage, message);
    assert.deepEqual(
      [detail?.kind, detail?.httpStatus, detail?.retryable],
      [UpstreamErrorKind[kind], status, retryable],
    );
  }
  const broken = callError("openai", new HttpError("HTTP_CUT", "underneath"), running, true);
  assert.equal(broken.rawMessage, "openai: the connection was cut in the middle of the answer");
});
