import { deepStrictEqual, rejects, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { ConnectError } from "@connectrpc/connect";
import { findUpstreamError } from "#chassis/errors.ts";
import { Secret } from "#chassis/secret.ts";
import { type AzureIdentity, readAzureIdentity } from "../azure-identity.ts";
import type { ProviderCall, UpstreamRequest } from "../provider.ts";
import { providerCall } from "../translate/testing/provider-call.ts";
import { type AskEntra, createAzureToken } from "./azure-token.ts";

const request: UpstreamRequest = { method: "POST", url: "https://x.test", headers: { a: "b" }, body: Buffer.from("") };
const never = new AbortController().signal;
const app = { tenant_id: "t", client_id: "c" };

const callWith = (settings: Record<string, string>, secrets: Record<string, string> = {}): ProviderCall =>
  providerCall({}, { settings, credential: new Secret(JSON.stringify(secrets)) });

/** Microsoft Entra ID that counts, and the clock of the test. */
function stage(answer?: AskEntra) {
  const asked: AzureIdentity[] = [];
  const clock = { now: 1_700_000_000_000 };
  const ask: AskEntra = async (identity) => {
    asked.push(identity);
    if (answer !== undefined) return answer(identity);
    return { token: `t${asked.length}`, expiresOnTimestamp: clock.now + 3_600_000 };
  };
  const authorize = createAzureToken(() => clock.now, ask);
  const headerOf = async (call: ProviderCall, sent = request) =>
    (await authorize(call, sent, never)).headers.authorization;
  return { asked, clock, headerOf };
}

test("an identity is told by what is set", () => {
  const cases: readonly [Record<string, string>, Record<string, string>, Partial<AzureIdentity> | undefined][] = [
    [app, { client_secret: "s" }, { kind: "secret", tenantId: "t", clientId: "c" }],
    [{ client_id: "c", azure_username: "u" }, { azure_password: "p" }, { kind: "password", username: "u" }],
    [{ ...app, azure_federated_token_file: "/f" }, {}, { kind: "workload", tokenFile: "/f" }],
    [app, { azure_ad_token: "oidc/file//var/token" }, { kind: "workload", tokenFile: "/var/token" }],
    [{ azure_credential: "DefaultAzureCredential" }, {}, { kind: "default" }],
    [{ azure_credential: "managed_identity", client_id: "c" }, {}, { kind: "managed", clientId: "c" }],
    [{ ...app, azure_scope: "s" }, { client_secret: "s" }, { scope: "s" }],
    [{ client_id: "c" }, { client_secret: "s" }, undefined],
    [{ azure_credential: "constructor" }, {}, undefined],
    [{}, {}, undefined],
  ];
  for (const [settings, secrets, expected] of cases) {
    const identity = readAzureIdentity(callWith(settings, secrets));
    if (expected === undefined) strictEqual(identity, undefined);
    else deepStrictEqual({ ...identity, ...expected }, identity);
  }
});

test("a token is added where nothing authorizes the request, once for all, and renewed", async () => {
  const { asked, clock, headerOf } = stage();
  const call = callWith(app, { client_secret: "s" });
  deepStrictEqual(await Promise.all([headerOf(call), headerOf(call)]), ["Bearer t1", "Bearer t1"]);
  strictEqual(asked[0]?.secret.reveal(), "s");
  strictEqual(asked[0]?.scope, "https://cognitiveservices.azure.com/.default");
  strictEqual(await headerOf(callWith(app, { client_secret: "other" })), "Bearer t2");
  clock.now += 56 * 60 * 1000;
  strictEqual(await headerOf(call), "Bearer t3");
  strictEqual(await headerOf(call, { ...request, headers: { authorization: "Bearer own" } }), "Bearer own");
  for (const name of ["api-key", "x-api-key"]) {
    strictEqual(await headerOf(call, { ...request, headers: { [name]: "k" } }), undefined);
  }
  strictEqual(await headerOf(callWith({})), undefined);
  strictEqual(asked.length, 3);
});

test("what goes wrong", async () => {
  const call = callWith(app, { client_secret: "s" });
  const fails = (error: Error): AskEntra => {
    return () => Promise.reject(error);
  };
  const cases: readonly [AskEntra, number, RegExp][] = [
    [
      fails(new Error("invalid_client: AADSTS7000215: Invalid client secret.\nTrace ID: 1")),
      401,
      /AADSTS7000215[^\n]*$/,
    ],
    [fails(Object.assign(new Error("busy"), { statusCode: 503 })), 503, /answered 503/],
    [fails(Object.assign(new Error("getaddrinfo ENOTFOUND"), { code: "ENOTFOUND" })), 503, /cannot be reached/],
    [async () => null, 401, /no token/],
  ];
  for (const [answer, status, message] of cases) {
    await rejects(stage(answer).headerOf(call), (error: unknown) => {
      const detail = findUpstreamError(ConnectError.from(error));
      return detail?.httpStatus === status && message.test(detail.message);
    });
  }
});
