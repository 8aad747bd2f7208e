import assert from "node:assert/strict";
import { test } from "node:test";
import { upstreamError } from "#chassis/errors.ts";
import { UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import { deployment } from "../testing/deployment.ts";
import { readFailure } from "./failure.ts";

test("only what is wrong with the deployment itself is permanent, not what a client named", () => {
  const { AUTHENTICATION, NOT_FOUND, BAD_REQUEST } = UpstreamErrorKind;
  const cases: [UpstreamErrorKind, string, string, boolean][] = [
    [AUTHENTICATION, "", "Incorrect API key", true],
    [NOT_FOUND, "model_not_found", "The model `gpt-9` does not exist", true],
    [NOT_FOUND, "", "model: claude-9", true],
    [NOT_FOUND, "DeploymentNotFound", "The deployment for this resource does not exist", true],
    [NOT_FOUND, "", "Previous response with id 'model' not found.", false],
    [NOT_FOUND, "", "No such File object: file-model", false],
    [BAD_REQUEST, "", "model: bad", false],
  ];
  for (const [kind, code, message, permanent] of cases) {
    const error = upstreamError({ kind, code, message, httpStatus: 404, provider: "openai", retryable: false });
    assert.equal(readFailure(error, deployment("a")).permanent, permanent, message);
  }
});
