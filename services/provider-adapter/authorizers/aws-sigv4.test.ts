import { match, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { Secret } from "#chassis/secret.ts";
import type { UpstreamRequest } from "../provider.ts";
import { providerCall } from "../translate/testing/provider-call.ts";
import { authorizationHeader, createAwsSigV4, signingKey } from "./aws-sigv4.ts";

test("the signature of AWS' own example", () => {
  // https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html, ListUsers; keys are theirs.
  const secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
  const scope = { region: "us-east-1", service: "iam" };
  const request = {
    method: "GET",
    url: new URL("https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08"),
    headers: {
      host: "iam.amazonaws.com",
      "content-type": "application/x-www-form-urlencoded; charset=utf-8",
      "x-amz-date": "20150830T123600Z",
    },
    body: new Uint8Array(),
  };
  const header = authorizationHeader(
    request,
    "AKIDEXAMPLE",
    scope,
    "20150830T123600Z",
    signingKey(secret, "20150830", scope),
  );
  strictEqual(
    header,
    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, " +
      "SignedHeaders=content-type;host;x-amz-date, " +
      "Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
  );
});

const keys = { aws_access_key_id: "AKID", aws_secret_access_key: "secret" };
const request: UpstreamRequest = {
  method: "POST",
  url: "https://bedrock-runtime.us-east-1.amazonaws.com/model/a.b-v1%3A0/converse",
  headers: { "content-type": "application/json", "x-own": "1" },
  body: Buffer.from("{}"),
  awsScope: { region: "us-east-1", service: "bedrock" },
};

async function authorize(credential: object, changes: Partial<UpstreamRequest> = {}): Promise<UpstreamRequest> {
  const call = providerCall({}, { credential: new Secret(JSON.stringify(credential)) });
  const sign = createAwsSigV4(() => Date.UTC(2025, 10, 17, 6, 38, 22, 123));
  return sign(call, { ...request, ...changes }, new AbortController().signal);
}

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
  strictEqual((await authorize({ api_key: "k" })).headers.authorization, undefined);
});
