import assert from "node:assert/strict";
import { test } from "node:test";
import { Code } from "@connectrpc/connect";
import { findUpstreamError } from "#chassis/errors.ts";
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
