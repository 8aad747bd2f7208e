import { deepStrictEqual, strictEqual, throws } from "node:assert/strict";
import { test } from "node:test";
import { Secret } from "#chassis/secret.ts";
import type { ProviderCall } from "../../provider.ts";
import { providerCall } from "../../translate/testing/provider-call.ts";
import { bedrockModel } from "./bedrock-model.ts";
import { upstreamRequest } from "./upstream-request.ts";

const keys = new Secret(JSON.stringify({ aws_access_key_id: "AKID", aws_secret_access_key: "secret" }));

function request(changes: Partial<ProviderCall>) {
  const call = providerCall({}, { model: "a.b-v1:0", credential: keys, ...changes });
  return upstreamRequest(call, bedrockModel(call.model), "converse", call.body);
}

test("region and address", () => {
  const own = (region: string) => `https://bedrock-runtime.${region}.amazonaws.com/model/a.b-v1%3A0/converse`;
  const cases: readonly [Partial<ProviderCall>, string, string][] = [
    [{}, own("us-west-2"), "us-west-2"],
    [{ settings: { aws_region_name: "eu-west-1" } }, own("eu-west-1"), "eu-west-1"],
    [{ settings: { aws_region_name: "eu-west-1" }, model: "us-east-2/a.b-v1:0" }, own("us-east-2"), "us-east-2"],
    [
      { settings: { aws_region_name: "cn-north-1" }, model: "arn:x/y" },
      "https://bedrock-runtime.cn-north-1.amazonaws.com.cn/model/arn%3Ax%2Fy/converse",
      "cn-north-1",
    ],
    [
      { baseUrl: "https://vpce-1.bedrock-runtime.eu-west-3.vpce.amazonaws.com", stream: true },
      "https://vpce-1.bedrock-runtime.eu-west-3.vpce.amazonaws.com/model/a.b-v1%3A0/converse-stream",
      "eu-west-3",
    ],
    [
      { settings: { model_id: "arn:aws:bedrock:eu-west-3:1:application-inference-profile/a", aws_region_name: "x" } },
      "https://bedrock-runtime.eu-west-3.amazonaws.com/model/arn%3Aaws%3Abedrock%3Aeu-west-3%3A1%3Aapplication-inference-profile%2Fa/converse",
      "eu-west-3",
    ],
    [
      { settings: { aws_bedrock_runtime_endpoint: "http://proxy/bedrock/", aws_region_name: "eu-west-1" } },
      "http://proxy/bedrock/model/a.b-v1%3A0/converse",
      "eu-west-1",
    ],
  ];
  for (const [changes, url, region] of cases) {
    const made = request(changes);
    deepStrictEqual([made.url, made.awsScope], [url, { region, service: "bedrock" }]);
  }
});

test("credentials", () => {
  const both = JSON.stringify({ api_key: "key", aws_access_key_id: "AKID", aws_secret_access_key: "secret" });
  for (const credential of ["key", both]) {
    const made = request({ credential: new Secret(credential) });
    deepStrictEqual([made.headers.authorization, made.awsScope], ["Bearer key", undefined]);
  }
  const given = request({ headers: { authorization: "Custom x", "anthropic-beta": "b", "x-own": "1" } });
  deepStrictEqual([given.headers.authorization, given.awsScope], ["Custom x", undefined]);
  deepStrictEqual([given.headers["anthropic-beta"], given.headers["x-own"]], [undefined, "1"]);
  throws(() => request({ credential: new Secret("two words") }), /no header can carry/);
});

test("who signs", () => {
  const none = undefined;
  const half = new Secret('{"aws_access_key_id":"AKID"}');
  const baseUrl = "http://own";
  const cases: readonly [string, Partial<ProviderCall>, boolean][] = [
    ["keys", { baseUrl }, true],
    ["nothing at AWS' own address: the keys are found", { credential: none }, true],
    ["half a pair", { credential: half }, true],
    [
      "AWS' other addresses",
      { credential: none, baseUrl: "https://vpce-1.bedrock-runtime.eu-west-3.vpce.amazonaws.com" },
      true,
    ],
    ["a gateway that signs itself", { credential: none, baseUrl }, false],
    ["a host with a like name", { credential: none, baseUrl: "https://amazonaws.com.evil.example" }, false],
    ["a role", { credential: none, baseUrl, settings: { aws_role_name: "arn:x" } }, true],
    ["a profile", { credential: none, baseUrl, settings: { aws_profile_name: "p" } }, true],
    ["a web identity", { credential: new Secret('{"aws_web_identity_token":"t"}'), baseUrl }, true],
  ];
  for (const [name, changes, signs] of cases) strictEqual(request(changes).awsScope !== undefined, signs, name);
  throws(() => request({ settings: { aws_region_name: "evil.example/" } }), /aws_region_name/);
});
