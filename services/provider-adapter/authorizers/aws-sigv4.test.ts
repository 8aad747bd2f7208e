import { match, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { Secret } from "#chassis/secret.ts";
import type { UpstreamRequest } from "../provider.ts";
import { providerCall } from "../translate/testing/provider-call.ts";
import { createAwsSigV4 } from "./aws-sigv4.ts";

const keys = { aws_access_key_id: "AKID", aws_secret_access_key: "secret" };
const request: UpstreamRequest = {
  method: "POST",
  url: "https://bedrock-runtime.us-east-1.amazonaws.com/model/a.b-v1%3A0/converse",
  headers: { "content-type": "application/json", "x-own": "1" },
  body: Buffer.from("{}"),
  awsScope: { region: "us-east-1", service: "bedrock" },
};

async function authorize(
  credential: object,
  changes: Partial<UpstreamRequest> = {},
  now = Date.UTC(2025, 10, 17, 6, 38, 22, 123),
): Promise<UpstreamRequest> {
  const call = providerCall({}, { credential: new Secret(JSON.stringify(credential)) });
  return createAwsSigV4(() => now)(call, { ...request, ...changes }, new AbortController().signal);
}

test("the signature of AWS' own example", async () => {
  // AWS' test suite for Signature Version 4, post-vanilla; keys are theirs.
  const credential = {
    aws_access_key_id: "AKIDEXAMPLE",
    aws_secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
  };
  const example: Partial<UpstreamRequest> = {
    url: "https://example.amazonaws.com/",
    headers: {},
    body: new Uint8Array(),
    awsScope: { region: "us-east-1", service: "service" },
  };
  const { headers } = await authorize(credential, example, Date.UTC(2015, 7, 30, 12, 36, 0));
  strictEqual(
    headers.authorization,
    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, " +
      "SignedHeaders=host;x-amz-date, " +
      "Signature=5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
  );
});

test("what is signed, and what is left alone", async () => {
  const { headers } = await authorize(keys);
  strictEqual(headers["x-amz-date"], "20251117T063822Z");
  strictEqual(headers["x-own"], "1");
  strictEqual(headers.host, undefined);
  match(headers.authorization ?? "", /Credential=AKID\/20251117\/us-east-1\/bedrock\/aws4_request, /);
  match(headers.authorization ?? "", /SignedHeaders=content-type;host;x-amz-date, Signature=[0-9a-f]{64}$/);

  const session = await authorize({ ...keys, aws_session_token: "token" });
  strictEqual(session.headers["x-amz-security-token"], "token");
  match(session.headers.authorization ?? "", /SignedHeaders=content-type;host;x-amz-date;x-amz-security-token,/);

  const body = await authorize(keys, { body: Buffer.from("[]") });
  strictEqual(body.headers.authorization === headers.authorization, false);
  strictEqual((await authorize(keys)).headers.authorization, headers.authorization);
  strictEqual((await authorize(keys, { awsScope: undefined })).headers.authorization, undefined);
});
