import { deepStrictEqual, rejects, strictEqual } from "node:assert/strict";
import { createVerify, generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ConnectError } from "@connectrpc/connect";
import { findUpstreamError } from "#chassis/errors.ts";
import { Secret } from "#chassis/secret.ts";
import type { ProviderCall, UpstreamRequest } from "../provider.ts";
import { providerCall } from "../translate/testing/provider-call.ts";
import { createGoogleLibrary } from "./google-library.ts";
import { createGoogleToken } from "./google-token.ts";
import type { AskTokenServer } from "./token-server.ts";

const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const key = {
  type: "service_account",
  project_id: "p",
  client_email: "a@p.iam.gserviceaccount.com",
  private_key_id: "k1",
  private_key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  token_uri: "https://tokens.test/token",
};
const request: UpstreamRequest = { method: "POST", url: "https://x.test", headers: { a: "b" }, body: Buffer.from("") };
const never = new AbortController().signal;
const callWith = (credential: string) => providerCall({}, { credential: new Secret(credential) });

/** A token server that counts, and the clock of the test. */
function stage(answer: (nth: number) => { status: number; body: string } = (nth) => okAnswer(nth)) {
  const asked: { url: string; form: URLSearchParams }[] = [];
  const clock = { now: 1_700_000_000_000 };
  const ask: AskTokenServer = async (url, form) => {
    asked.push({ url, form });
    return answer(asked.length);
  };
  const authorize = createGoogleToken(() => clock.now, ask);
  const headerOf = async (credential = JSON.stringify(key)) =>
    (await authorize(callWith(credential), request, never)).headers.authorization;
  return { asked, clock, authorize, headerOf };
}

const okAnswer = (nth: number) => ({
  status: 200,
  body: JSON.stringify({ access_token: `t${nth}`, expires_in: 3600, token_type: "Bearer" }),
});

test("a service account's key is exchanged for a token by a signed assertion", async () => {
  const { asked, headerOf } = stage();
  strictEqual(await headerOf(), "Bearer t1");
  strictEqual(asked[0]?.url, key.token_uri);
  strictEqual(asked[0]?.form.get("grant_type"), "urn:ietf:params:oauth:grant-type:jwt-bearer");
  const [header = "", claims = "", signature = ""] = (asked[0]?.form.get("assertion") ?? "").split(".");
  const read = (part: string) => JSON.parse(Buffer.from(part, "base64url").toString());
  deepStrictEqual(read(header), { alg: "RS256", typ: "JWT", kid: "k1" });
  deepStrictEqual(read(claims), {
    iss: key.client_email,
    scope: "https://www.googleapis.com/auth/cloud-platform",
    aud: key.token_uri,
    iat: 1_700_000_000,
    exp: 1_700_003_600,
  });
  strictEqual(createVerify("RSA-SHA256").update(`${header}.${claims}`).verify(publicKey, signature, "base64url"), true);
});

test("a token is fetched once for all, kept, and replaced five minutes before its end", async () => {
  const { asked, clock, headerOf } = stage();
  deepStrictEqual(await Promise.all([headerOf(), headerOf(), headerOf()]), ["Bearer t1", "Bearer t1", "Bearer t1"]);
  clock.now += 54 * 60 * 1000;
  strictEqual(await headerOf(), "Bearer t1");
  clock.now += 2 * 60 * 1000;
  strictEqual(await headerOf(), "Bearer t2");
  strictEqual(asked.length, 2);
});

test("a refresh token, credentials in a file, and a credential that needs nothing", async () => {
  const { asked, authorize, headerOf } = stage();
  const user = { type: "authorized_user", client_id: "i", client_secret: "s", refresh_token: "r" };
  strictEqual(await headerOf(JSON.stringify({ vertex_credentials: JSON.stringify(user) })), "Bearer t1");
  strictEqual(asked[0]?.url, "https://oauth2.googleapis.com/token");
  strictEqual(asked[0]?.form.get("refresh_token"), "r");
  const folder = await mkdtemp(join(tmpdir(), "google-"));
  try {
    const file = join(folder, "key.json");
    await writeFile(file, JSON.stringify(key));
    strictEqual(await headerOf(JSON.stringify({ vertex_credentials: file })), "Bearer t2");
  } finally {
    await rm(folder, { recursive: true });
  }
  const carries: UpstreamRequest = { ...request, headers: { authorization: "Bearer ya29.token" } };
  strictEqual(await authorize(callWith("ya29.token"), carries, never), carries);
  strictEqual(asked.length, 2);
});

const failsWith = (httpStatus: number) => (error: unknown) =>
  error instanceof ConnectError && findUpstreamError(error)?.httpStatus === httpStatus;

test("a call that is aborted leaves, and others get the token", async () => {
  const { asked, authorize, headerOf } = stage();
  const leaving = new AbortController();
  const left = Promise.resolve(authorize(callWith(JSON.stringify(key)), request, leaving.signal));
  const stays = headerOf();
  leaving.abort(new Error("left"));
  await rejects(left, /left/);
  strictEqual(await stays, "Bearer t1");
  strictEqual(asked.length, 1);
});

test("what goes wrong", async () => {
  const denied = stage(() => ({ status: 400, body: '{"error":"invalid_grant","error_description":"Bad key."}' }));
  await rejects(denied.headerOf(), /Bad key/);
  await rejects(denied.headerOf(), failsWith(401));
  strictEqual(denied.asked.length, 2);
  await rejects(stage(() => ({ status: 503, body: "" })).headerOf(), failsWith(503));
  await rejects(stage(() => ({ status: 200, body: "<html>" })).headerOf(), failsWith(401));
  for (const credentials of ["/no/such/file", '{"type":"other"}', '{"type":"service_account","private_key":"x"}']) {
    await rejects(stage().headerOf(JSON.stringify({ vertex_credentials: credentials })), failsWith(401));
  }
  const { authorize } = stage(() => ({ status: 503, body: "" }));
  await rejects(
    async () => authorize(callWith(JSON.stringify(key)), request, AbortSignal.abort(new Error("gone"))),
    /gone/,
  );
});

test("other credentials, and none, are the library's", async () => {
  const asked: unknown[] = [];
  const authorize = createGoogleToken(
    () => 0,
    () => Promise.reject(new Error("not asked")),
    async (credential) => {
      asked.push(credential?.type);
      return { value: `t${asked.length}`, lifetimeMs: 3_600_000 };
    },
  );
  const headerOf = async (changes: Partial<ProviderCall>) =>
    (await authorize(providerCall({}, changes), request, never)).headers.authorization;
  const federated = new Secret(JSON.stringify({ type: "external_account", audience: "a" }));
  strictEqual(await headerOf({ credential: federated }), "Bearer t1");
  strictEqual(await headerOf({ credential: federated, baseUrl: "http://own.test" }), "Bearer t1");
  strictEqual(await headerOf({ credential: undefined }), "Bearer t2");
  strictEqual(await headerOf({ credential: undefined, baseUrl: "http://own.test" }), undefined);
  deepStrictEqual(asked, ["external_account", undefined]);
});

test("what goes wrong in the library", async () => {
  const failing = (error: Error, credential?: Secret) => {
    const authorize = createGoogleToken(
      () => 0,
      () => Promise.reject(new Error("not asked")),
      () => Promise.reject(error),
    );
    return Promise.resolve(authorize(providerCall({}, { credential }), request, never));
  };
  const federated = new Secret('{"type":"external_account"}');
  await rejects(failing(new Error("no default")), /VERTEXAI_CREDENTIALS/);
  await rejects(failing(new Error("bad audience"), federated), failsWith(401));
  await rejects(failing(Object.assign(new Error("x"), { code: "ECONNREFUSED" }), federated), failsWith(503));
  await rejects(failing(Object.assign(new Error("x"), { status: 502 }), federated), failsWith(503));
});

test("the library federates an identity and impersonates a service account", async () => {
  const seen: string[] = [];
  const server = createServer((asked, response) => {
    seen.push(`${asked.url} ${asked.headers.authorization ?? ""}`.trim());
    response.setHeader("content-type", "application/json");
    const exchanged = { access_token: "federated", expires_in: 3600, token_type: "Bearer" };
    const impersonated = { accessToken: "impersonated", expireTime: "2100-01-01T00:00:00Z" };
    response.end(JSON.stringify(asked.url === "/sts" ? exchanged : impersonated));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const folder = await mkdtemp(join(tmpdir(), "google-"));
  try {
    const address = server.address();
    const base = `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`;
    const file = join(folder, "subject");
    await writeFile(file, "subject");
    const credential = {
      type: "external_account",
      audience: "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
      subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
      token_url: `${base}/sts`,
      credential_source: { file },
    };
    const ask = createGoogleLibrary(Date.now);
    strictEqual((await ask(credential)).value, "federated");
    const impersonating = { ...credential, service_account_impersonation_url: `${base}/a:generateAccessToken` };
    strictEqual((await ask(impersonating)).value, "impersonated");
    deepStrictEqual(seen, ["/sts", "/sts", "/a:generateAccessToken Bearer federated"]);
  } finally {
    server.close();
    server.closeAllConnections();
    await rm(folder, { recursive: true });
  }
});
