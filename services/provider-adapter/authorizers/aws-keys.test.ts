import assert from "node:assert/strict";
import { mkdtempSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { ConnectError } from "@connectrpc/connect";
import { findUpstreamError } from "#chassis/errors.ts";
import { Secret } from "#chassis/secret.ts";
import { startFakeUpstream } from "#chassis/testing/fake-upstream.ts";
import { providerCall } from "../translate/testing/provider-call.ts";
import { createAwsKeys, type FindAwsKeys } from "./aws-keys.ts";

/** Roles are taken from a token service that answers as AWS' does, over HTTP, by AWS' own library. */
const sts = await startFakeUpstream();
const folder = mkdtempSync(join(tmpdir(), "aws-keys-"));
after(async () => {
  await sts.close();
  await rm(folder, { recursive: true });
});

const begin = Date.UTC(2030, 0, 1);
const scope = { region: "eu-west-1", service: "bedrock" };
const { signal } = new AbortController();

function answerOf(action: string, accessKeyId: string): string {
  const expiration = new Date(begin + 3_600_000).toISOString();
  const credentials = `<AccessKeyId>${accessKeyId}</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>${expiration}</Expiration>`;
  return `<${action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><${action}Result><Credentials>${credentials}</Credentials><AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/r/s</Arn><AssumedRoleId>A:s</AssumedRoleId></AssumedRoleUser></${action}Result></${action}Response>`;
}

function callOf(credential: object, settings: Record<string, string>) {
  return providerCall({}, { credential: new Secret(JSON.stringify(credential)), settings });
}

const own = { aws_access_key_id: "OWN", aws_secret_access_key: "secret" };
const role = { aws_role_name: "arn:aws:iam::1:role/r", aws_session_name: "s-1", aws_sts_endpoint: sts.url };

function formOf(index: number): Record<string, string> {
  return Object.fromEntries(new URLSearchParams(sts.requests.at(index)?.body.toString()));
}

test("a role is taken with the deployment's keys, kept, and taken again before it ends", async () => {
  sts.answer({ headers: { "content-type": "text/xml" }, body: answerOf("AssumeRole", "ROLE") });
  let nowMs = begin;
  const keysOf = createAwsKeys(() => nowMs);
  const call = callOf(own, { ...role, aws_external_id: "x-1" });
  const before = sts.requests.length;
  const all = await Promise.all([keysOf(call, scope, signal), keysOf(call, scope, signal)]);
  assert.deepEqual(all[0], { accessKeyId: "ROLE", secretAccessKey: "s", sessionToken: "t" });
  assert.deepEqual(all[1], all[0]);
  assert.equal(sts.requests.length - before, 1);
  const { Action, RoleArn, RoleSessionName, ExternalId } = formOf(-1);
  assert.deepEqual(
    [Action, RoleArn, RoleSessionName, ExternalId],
    ["AssumeRole", "arn:aws:iam::1:role/r", "s-1", "x-1"],
  );
  assert.match(
    String(sts.requests.at(-1)?.headers.authorization),
    /Credential=OWN\/\d{8}\/eu-west-1\/sts\/aws4_request/,
  );
  nowMs = begin + 54 * 60_000;
  await keysOf(call, scope, signal);
  assert.equal(sts.requests.length - before, 1);
  nowMs = begin + 56 * 60_000;
  await keysOf(call, scope, signal);
  assert.equal(sts.requests.length - before, 2);
  await keysOf(callOf(own, { ...role, aws_session_name: "s-2" }), scope, signal);
  assert.equal(formOf(-1).RoleSessionName, "s-2");
});

test("a web identity is exchanged for a role without any keys; its token may lie in a file", async () => {
  sts.answer({ headers: { "content-type": "text/xml" }, body: answerOf("AssumeRoleWithWebIdentity", "WEB") });
  const path = join(folder, "token");
  writeFileSync(path, "from-a-file\n");
  for (const [token, sent] of [
    ["a.b.c", "a.b.c"],
    [`oidc/file/${path}`, "from-a-file"],
  ] as const) {
    const keysOf = createAwsKeys(() => begin);
    const keys = await keysOf(callOf({ aws_web_identity_token: token }, role), scope, signal);
    assert.equal(keys.accessKeyId, "WEB");
    const { Action, RoleArn, RoleSessionName, WebIdentityToken } = formOf(-1);
    assert.deepEqual(
      [Action, RoleArn, RoleSessionName, WebIdentityToken],
      ["AssumeRoleWithWebIdentity", "arn:aws:iam::1:role/r", "s-1", sent],
    );
    assert.equal(sts.requests.at(-1)?.headers.authorization, undefined);
  }
});

test("the order in which keys are looked for", async () => {
  const asked: string[] = [];
  const find: FindAwsKeys = async ({ role: r, profile, webIdentityToken, keys }) => {
    asked.push([webIdentityToken && "web", r && "role", profile && "profile", keys && "keys"].filter(Boolean).join());
    return { accessKeyId: "FOUND", secretAccessKey: "s", sessionToken: "" };
  };
  const keysOf = createAwsKeys(() => begin, find);
  const given = await keysOf(callOf({ ...own, aws_session_token: "t" }, {}), scope, signal);
  assert.deepEqual(given, { accessKeyId: "OWN", secretAccessKey: "secret", sessionToken: "t" });
  await keysOf(callOf(own, { aws_profile_name: "p" }), scope, signal);
  await keysOf(callOf(own, role), scope, signal);
  await keysOf(callOf({}, {}), scope, signal);
  await keysOf(callOf({ aws_access_key_id: "half" }, {}), scope, signal);
  assert.deepEqual(asked, ["profile,keys", "role,keys", ""]);
});

test("what is wrong with the keys is said, and whose it is to mend", async () => {
  const refusal = (code: string, message: string) =>
    `<ErrorResponse><Error><Type>Sender</Type><Code>${code}</Code><Message>${message}</Message></Error></ErrorResponse>`;
  const failing = (error: Error) =>
    createAwsKeys(
      () => begin,
      () => Promise.reject(error),
    );
  const providerError = Object.assign(new Error("none"), { name: "CredentialsProviderError" });
  const lost = Object.assign(new Error("x"), { code: "ECONNREFUSED" });
  const real = createAwsKeys(() => begin);
  const cases: readonly [string, () => Promise<unknown>, number, boolean, RegExp][] = [
    [
      "a refusal",
      () => {
        sts.answer({ status: 403, body: refusal("AccessDenied", "not authorized to perform: sts:AssumeRole") });
        return real(callOf(own, role), scope, signal);
      },
      401,
      false,
      /role could not be taken.*not authorized/,
    ],
    ["no role", () => real(callOf({ aws_web_identity_token: "t" }, {}), scope, signal), 401, false, /aws_role_name/],
    [
      "no file",
      () => real(callOf({ aws_web_identity_token: "oidc/file/none" }, role), scope, signal),
      401,
      false,
      /cannot be read/,
    ],
    [
      "an unknown source",
      () => real(callOf({ aws_web_identity_token: "oidc/google/x" }, role), scope, signal),
      401,
      false,
      /oidc\/file/,
    ],
    ["nothing", () => failing(providerError)(callOf({}, {}), scope, signal), 401, false, /set AWS_ACCESS_KEY_ID and/],
    ["no network", () => failing(lost)(callOf({}, role), scope, signal), 503, true, /cannot be reached/],
  ];
  for (const [name, run, status, retryable, message] of cases) {
    const error = await run().then(
      () => undefined,
      (thrown: unknown) => ConnectError.from(thrown),
    );
    const detail = error === undefined ? undefined : findUpstreamError(error);
    assert.deepEqual([detail?.httpStatus, detail?.retryable], [status, retryable], name);
    assert.match(detail?.message ?? "", message, name);
    assert.ok(!detail?.message.includes("secret"), name);
  }
});
