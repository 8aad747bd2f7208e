import { deepStrictEqual, rejects, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { ConnectError } from "@connectrpc/connect";
import { findUpstreamError } from "#chassis/errors.ts";
import { Secret } from "#chassis/secret.ts";
import type { TokenGrant, UpstreamRequest } from "../provider.ts";
import { providerCall } from "../translate/testing/provider-call.ts";
import { createOAuthToken } from "./oauth-token.ts";
import type { AskTokenServer } from "./token-server.ts";

const grant: TokenGrant = {
  provider: "p",
  owner: "Acme",
  url: "https://tokens.test/token",
  form: { grant_type: "client_credentials", client_id: "me", client_secret: new Secret("hidden") },
};
const request: UpstreamRequest = { method: "POST", url: "https://x.test", headers: { a: "b" }, body: Buffer.from("") };
const never = new AbortController().signal;
const call = providerCall({});

const okAnswer = (nth: number, rest: object = { expires_in: 3600 }) => ({
  status: 200,
  body: JSON.stringify({ access_token: `t${nth}`, ...rest }),
});

/** A token server that counts, and the clock of the test. */
function stage(answer: (nth: number) => { status: number; body: string } = (nth) => okAnswer(nth)) {
  const asked: Parameters<AskTokenServer>[] = [];
  const clock = { now: 1_700_000_000_000 };
  const ask: AskTokenServer = async (...question) => {
    asked.push(question);
    return answer(asked.length);
  };
  const authorize = createOAuthToken(() => clock.now, ask);
  const headerOf = async (changes: Partial<TokenGrant> = {}) =>
    (await authorize(call, { ...request, tokenGrant: { ...grant, ...changes } }, never)).headers.authorization;
  return { asked, clock, authorize, headerOf };
}

test("a grant is exchanged by a form; a request without one passes", async () => {
  const { asked, authorize, headerOf } = stage();
  strictEqual(await headerOf(), "Bearer t1");
  const [url, form, headers] = asked[0] ?? [];
  strictEqual(url, grant.url);
  strictEqual(form?.toString(), "grant_type=client_credentials&client_id=me&client_secret=hidden");
  deepStrictEqual(headers, { accept: "application/json" });
  strictEqual(await authorize(call, request, never), request);
  strictEqual(asked.length, 1);
});

test("basic authentication, further headers, and an id of every request", async () => {
  const { asked, headerOf } = stage();
  await headerOf({ basic: new Secret("abc"), headers: { x: "y" }, requestIdHeader: "rquid" });
  const headers = asked[0]?.[2] ?? {};
  strictEqual(headers.authorization, "Basic abc");
  strictEqual(headers.x, "y");
  strictEqual(/^[0-9a-f-]{36}$/.test(headers.rquid ?? ""), true);
});

test("a token is fetched once for all that wait, by grant, and replaced before its end", async () => {
  const { asked, clock, headerOf } = stage();
  deepStrictEqual(await Promise.all([headerOf(), headerOf()]), ["Bearer t1", "Bearer t1"]);
  const others: Partial<TokenGrant>[] = [
    { url: "https://other.test" },
    { basic: new Secret("a") },
    { form: { ...grant.form, client_secret: new Secret("other") } },
  ];
  for (const [index, other] of others.entries()) strictEqual(await headerOf(other), `Bearer t${index + 2}`);
  clock.now += 54 * 60 * 1000;
  strictEqual(await headerOf(), "Bearer t1");
  clock.now += 2 * 60 * 1000;
  strictEqual(await headerOf(), "Bearer t5");
  strictEqual(asked.length, 5);
});

test("the end of a token may be told as a time", async () => {
  const end = 1_700_000_000 + 1800;
  for (const rest of [{ expires_at: end * 1000 }, { expiration: end }, { expires_in: "1800" }]) {
    const { clock, headerOf } = stage((nth) => okAnswer(nth, rest));
    await headerOf();
    clock.now += 24 * 60 * 1000;
    strictEqual(await headerOf(), "Bearer t1");
    clock.now += 2 * 60 * 1000;
    strictEqual(await headerOf(), "Bearer t2");
  }
});

const failsWith = (httpStatus: number, message: RegExp) => (error: unknown) => {
  const detail = error instanceof ConnectError ? findUpstreamError(error) : undefined;
  return detail?.httpStatus === httpStatus && message.test(detail.message) && !detail.message.includes("hidden");
};

test("what goes wrong", async () => {
  const cases: readonly [status: number, body: string, httpStatus: number, message: RegExp][] = [
    [400, '{"error":"invalid_client","error_description":"Unknown."}', 401, /^Acme refused .* of p: Unknown\.$/],
    [400, '{"errorMessage":"Provided API key could not be found."}', 401, /could not be found/],
    [200, "<html>", 401, /refused/],
    [503, "", 503, /answered 503/],
    [429, "", 503, /answered 429/],
  ];
  for (const [status, body, httpStatus, message] of cases) {
    await rejects(stage(() => ({ status, body })).headerOf(), failsWith(httpStatus, message));
  }
  const unreachable = createOAuthToken(Date.now, async () => {
    throw new Error("refused");
  });
  const asked = async () => unreachable(call, { ...request, tokenGrant: grant }, never);
  await rejects(asked(), failsWith(503, /cannot be reached/));
});
