import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { freePort } from "#chassis/server-process.ts";
import { type LoginProviderFixture, ScriptedBrowser, startLoginProvider } from "#chassis/testing/login-provider.ts";
import { type RawAnswer, send } from "../services/edge/testing/raw-http.ts";
import { type Gateway, startGateway } from "../services/mesh/gateway.ts";
import { makeDataDir, removeDataDir } from "./harness/gateway-process.ts";

const masterKey = "sk-test-master";
const page = { "sec-fetch-site": "same-origin" };

/** A browser logs in at a real OpenID provider and works with its session, through the whole gateway. */
describe("the login of a browser", () => {
  let provider: LoginProviderFixture;
  let gateway: Gateway;
  let dataDir: string;
  let url: string;
  before(async () => {
    const port = await freePort();
    url = `http://localhost:${port}`;
    [provider, dataDir] = await Promise.all([startLoginProvider(`${url}/sso/callback`), makeDataDir()]);
    provider.accounts.set("ada", { name: "Ada", email: "ada@example.com", email_verified: true });
    provider.accounts.set("root", { name: "Root", role: "proxy_admin" });
    const own = { PORT: String(port), SLUICE_DATA_DIR: dataDir, SLUICE_LOG: "error", PROXY_BASE_URL: url };
    gateway = await startGateway({ ...provider.env, ...own, LITELLM_MASTER_KEY: masterKey });
  });
  after(async () => {
    await gateway?.close();
    await provider?.stop();
    await removeDataDir(dataDir);
  });

  /** Up to the way back from the provider. */
  async function comeBack(browser: ScriptedBrowser, subject: string, start = "/sso/key/generate") {
    const begun = await browser.send(`${url}${start}`);
    assert.equal(begun.status, 303, await begun.text());
    return browser.logIn(begun.headers.get("location") ?? "", subject, `${url}/sso/callback`);
  }

  async function logIn(subject: string) {
    const browser = new ScriptedBrowser();
    const answer = await browser.send(await comeBack(browser, subject));
    assert.equal(answer.status, 303, await answer.text());
    const token = browser.cookies(url).get("sluice_session") ?? "";
    assert.match(token, /^[\w-]{43}$/);
    const ask = (path: string, init: { method?: string; body?: object; headers?: Record<string, string> } = {}) =>
      send(`${url}${path}`, {
        method: init.method ?? (init.body === undefined ? "GET" : "POST"),
        headers: { cookie: `sluice_session=${token}`, "content-type": "application/json", ...(init.headers ?? page) },
        ...(init.body === undefined ? {} : { body: JSON.stringify(init.body) }),
      });
    return { browser, answer, token, ask };
  }

  test("ends where it was to end, with a session that scripts do not see", async () => {
    const browser = new ScriptedBrowser();
    const back = await comeBack(browser, "ada", "/sso/login?return_to=/ui%3Fpage%3Dkeys");
    assert.ok(browser.cookies(url).has("sluice_login"));
    const answer = await browser.send(back);
    assert.equal(answer.headers.get("location"), "/ui?page=keys");
    assert.equal(answer.headers.get("cache-control"), "no-store");
    const [session] = answer.headers.getSetCookie();
    assert.match(session ?? "", /^sluice_session=[\w-]{43}; Path=\/; Max-Age=8\d{4}; HttpOnly; SameSite=Lax$/);
    assert.ok(!browser.cookies(url).has("sluice_login"), "the login's cookie is left");
  });

  test("the session is its user on admin paths, and in chats", async () => {
    const { ask } = await logIn("ada");
    const session = JSON.parse((await ask("/sso/session")).text);
    assert.partialDeepStrictEqual(session, { user_id: "ada", master: false, roles: ["key", "internal_user"] });
    assert.ok(Date.parse(session.expires) > Date.now());
    const made = await ask("/key/generate", { body: { key_alias: "of-ada" } });
    assert.equal(made.status, 200, made.text);
    assert.equal(JSON.parse(made.text).user_id, "ada");
    const info = await ask("/user/info");
    assert.equal(JSON.parse(info.text).user_info.user_email, "ada@example.com", info.text);
    assert.equal((await ask("/organization/new", { body: { organization_alias: "a" } })).status, 403);
    const body = { model: "mock/echo", messages: [{ role: "user", content: "Hello!" }] };
    const chat = await ask("/v1/chat/completions", { body });
    assert.equal(chat.status, 200, chat.text);
    const admin = await logIn("root");
    assert.equal((await admin.ask("/organization/new", { body: { organization_alias: "by root" } })).status, 200);
  });

  test("a way back that was stolen opens nothing in another browser, and ends the login there", async () => {
    const browser = new ScriptedBrowser();
    const back = await comeBack(browser, "ada");
    const thief = new ScriptedBrowser();
    const stolen = await thief.send(back);
    assert.equal(stolen.status, 401);
    assert.equal(thief.cookies(url).size, 0);
    const begun = new ScriptedBrowser();
    await begun.send(`${url}/sso/login`);
    assert.equal((await begun.send(back)).status, 401);
    assert.ok(!begun.cookies(url).has("sluice_session"));
  });

  test("nobody is sent elsewhere", async () => {
    for (const path of ["https://elsewhere.example", "//elsewhere.example", "/%5Celsewhere.example"]) {
      const { status, headers } = await send(`${url}/sso/login?return_to=${path}`);
      assert.deepEqual([status, headers.location], [400, undefined], path);
    }
  });

  describe("a cookie counts only where the gateway's own page sends it", () => {
    const origin = () => url;
    const cases: [what: string, method: string, headers: () => Record<string, string>, taken: boolean][] = [
      ["the own page reads", "GET", () => ({ "sec-fetch-site": "same-origin" }), true],
      ["the own page writes", "POST", () => ({ "sec-fetch-site": "same-origin" }), true],
      ["the address bar", "GET", () => ({ "sec-fetch-site": "none" }), true],
      ["another site reads", "GET", () => ({ "sec-fetch-site": "cross-site" }), false],
      ["another site writes", "POST", () => ({ "sec-fetch-site": "cross-site" }), false],
      ["a neighbour reads", "GET", () => ({ "sec-fetch-site": "same-site" }), false],
      ["a neighbour writes", "POST", () => ({ "sec-fetch-site": "same-site" }), false],
      ["another site with our origin", "POST", () => ({ "sec-fetch-site": "cross-site", origin: origin() }), false],
      ["an old browser reads from the own page", "GET", () => ({ origin: origin() }), true],
      ["an old browser writes from the own page", "POST", () => ({ origin: origin() }), false],
      ["an old browser reads from another site", "GET", () => ({ origin: "https://elsewhere.example" }), false],
      ["an old browser reads from a hidden origin", "GET", () => ({ origin: "null" }), false],
      ["nobody says where it comes from", "GET", () => ({}), false],
      ["nobody says where a change comes from", "POST", () => ({}), false],
    ];
    for (const [what, method, headers, taken] of cases) {
      test(`${what}: ${taken ? "yes" : "no"}`, async () => {
        const { ask } = await logIn("root");
        const path = method === "GET" ? "/key/list" : "/key/generate";
        const body = method === "GET" ? {} : { body: {} };
        const { status, text } = await ask(path, { ...body, method, headers: headers() });
        assert.equal(status, taken ? 200 : 401, text);
      });
    }
  });

  test("a key counts more than a cookie, a session is no key, and a key is no cookie", async () => {
    const { ask, token } = await logIn("ada");
    const asMaster = await ask("/sso/session", { headers: { ...page, authorization: `Bearer ${masterKey}` } });
    assert.equal(JSON.parse(asMaster.text).master, true);
    const get = (headers: Record<string, string>): Promise<RawAnswer> => send(`${url}/sso/session`, { headers });
    assert.equal((await get({ authorization: `Bearer ${token}` })).status, 401);
    assert.equal((await get({ ...page, cookie: `sluice_session=${masterKey}` })).status, 401);
    assert.equal((await get({ ...page, cookie: `other=a; __Host-sluice_session=${token}` })).status, 200);
  });

  test("a logout ends the session at once; another site cannot do it", async () => {
    const { ask } = await logIn("ada");
    const forged = await ask("/sso/logout", { method: "POST", headers: { "sec-fetch-site": "cross-site" } });
    assert.equal(forged.headers["set-cookie"], undefined);
    assert.equal((await ask("/sso/session")).status, 200);
    const { status, headers } = await ask("/sso/logout", { method: "POST" });
    assert.equal(status, 200);
    assert.match(String(headers["set-cookie"]), /sluice_session=; Path=\/; Max-Age=0/);
    assert.equal((await ask("/sso/session")).status, 401);
    assert.equal((await ask("/sso/logout", { method: "POST" })).status, 200);
  });

  test("whoever is blocked is out", async () => {
    provider.accounts.set("mallory", {});
    const { ask } = await logIn("mallory");
    const blocked = await send(`${url}/user/update`, {
      method: "POST",
      headers: { authorization: `Bearer ${masterKey}`, "content-type": "application/json" },
      body: JSON.stringify({ user_id: "mallory", blocked: true }),
    });
    assert.equal(blocked.status, 200, blocked.text);
    assert.equal((await ask("/sso/session")).status, 401);
    const browser = new ScriptedBrowser();
    assert.equal((await browser.send(await comeBack(browser, "mallory"))).status, 403);
  });
});
