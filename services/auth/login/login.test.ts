import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { hashSessionToken } from "#chassis/session-token.ts";
import { startTestDatabases } from "#chassis/testing/databases.ts";
import { type Account, ScriptedBrowser, startLoginProvider } from "#chassis/testing/login-provider.ts";
import { emptyYaml } from "#chassis/yaml-file.ts";
import { LoginService } from "#gen/sluice/auth/v1/login_service_pb.ts";
import { UserService } from "#gen/sluice/auth/v1/user_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Role } from "#gen/sluice/rest/v1/caller_pb.ts";
import { LoginSession, User } from "../db/entities.ts";
import { master, refused, type Setup, setUp } from "../testing/auth-fixture.ts";
import { readLoginSettings } from "./settings.ts";

const base = "https://gateway.example";
const back = `${base}/sso/callback`;
const provider = await startLoginProvider(back);
const databases = await startTestDatabases();
after(async () => {
  await anybody.close();
  await someDomains.close();
  await provider.stop();
  await databases.stop();
});

const ada: Account = { name: "Ada", email: "Ada@Example.com", email_verified: true, preferred_username: "ada" };

/** Auth that lets the provider's people in; `env` beside its variables. */
function open(url: (typeof databases.all)[number]["url"], env: Record<string, string> = {}): Promise<Setup> {
  const login = readLoginSettings({ PROXY_BASE_URL: base, ...provider.env, ...env }, emptyYaml());
  return setUp(url, true, true, { login });
}

/** A whole login up to the way back, in a browser of its own unless one is given. */
async function begin({ client }: Setup, subject: string, browser = new ScriptedBrowser()) {
  const begun = await client(LoginService).beginLogin({ returnPath: "/ui?page=keys" });
  const url = await browser.logIn(begun.authorizationUrl, subject, back);
  return { query: new URL(url).search.slice(1), loginState: begun.loginState, secure: begun.secure };
}

async function logIn(setup: Setup, subject: string) {
  const { query, loginState } = await begin(setup, subject);
  const session = await setup.client(LoginService).completeLogin({ query, loginState, address: "192.0.2.1" });
  const { principal } = await setup.auth.authenticate({ keyHash: hashSessionToken(session.sessionToken) });
  assert.ok(principal);
  return { session, principal };
}

const [database] = databases.all;
assert.ok(database);
const anybody = await open(database.url);
const someDomains = await open(database.url, { ALLOWED_EMAIL_DOMAINS: "example.org, Example.com" });

for (const { name, url } of databases.all) {
  test(`who logs in first is made, who comes again is the same user (${name})`, async () => {
    provider.accounts.set("ada-1", ada);
    const setup = await open(url, { PROXY_ADMIN_ID: "root-1" });
    const first = await logIn(setup, "ada-1");
    assert.equal(first.session.returnPath, "/ui?page=keys");
    assert.equal(first.session.secure, true);
    assert.equal(first.session.expiresAt && timestampMs(first.session.expiresAt), setup.clock.now + 86_400_000);
    assert.equal(first.principal.userId, "ada-1");
    assert.deepEqual(first.principal.roles, [Role.KEY, Role.INTERNAL_USER]);
    assert.ok(first.principal.scopes.some(({ scope }) => scope === "user:ada-1"));
    const second = await logIn(setup, "ada-1");
    assert.notEqual(second.session.sessionToken, first.session.sessionToken);
    assert.equal(second.principal.userId, "ada-1");
    const rows = await setup.database.em().find(User, {});
    assert.deepEqual(
      rows
        .filter(({ createdBy }) => createdBy === "sso")
        .map((row) => [row.userId, row.userEmail, row.userAlias, row.ssoUserId, row.createdBy]),
      [["ada-1", "Ada@Example.com", "Ada", "ada-1", "sso"]],
    );
    const sessions = await setup.database.em().find(LoginSession, {});
    assert.equal(sessions.length, 2);
    assert.ok(!JSON.stringify(sessions).includes(first.session.sessionToken), "the token is stored");
    provider.accounts.set("root-1", { ...ada, email: "root@example.com" });
    assert.ok((await logIn(setup, "root-1")).principal.roles.includes(Role.PROXY_ADMIN));
    provider.accounts.set("twin-1", {});
    const twins = await Promise.all([begin(setup, "twin-1"), begin(setup, "twin-1")]);
    const login = setup.client(LoginService);
    await Promise.all(twins.map(({ query, loginState }) => login.completeLogin({ query, loginState })));
    assert.equal(await setup.database.em().count(User, { ssoUserId: "twin-1" }), 1);
    await setup.close();
  });
}

describe("somebody who is known already", () => {
  const setup = anybody;
  const users = setup.client(UserService);

  test("is found by a verified e-mail address, whatever its case, and keeps the provider's id", async () => {
    await users.createUser({ userId: "bob", settings: { userEmail: "BOB@example.com" }, autoCreateKey: false }, master);
    provider.accounts.set("bob-1", { email: "bob@example.com", email_verified: true });
    assert.equal((await logIn(setup, "bob-1")).principal.userId, "bob");
    provider.accounts.set("bob-1", { email: "other@example.com", email_verified: true });
    assert.equal((await logIn(setup, "bob-1")).principal.userId, "bob");
  });

  test("is not found by an address that nobody has verified, which the new user does not get either", async () => {
    provider.accounts.set("eve-1", { email: "bob@example.com", email_verified: false });
    assert.equal((await logIn(setup, "eve-1")).principal.userId, "eve-1");
    const row = await setup.database.em().findOne(User, { userId: "eve-1" });
    assert.equal(row?.userEmail, null);
  });

  test("gets the role that the provider states, and no other word of it", async () => {
    provider.accounts.set("carl-1", { role: ["something-else", "proxy_admin_viewer"] });
    assert.ok((await logIn(setup, "carl-1")).principal.roles.includes(Role.PROXY_ADMIN_VIEWER));
    provider.accounts.set("carl-1", { role: "internal_user_viewer" });
    assert.ok((await logIn(setup, "carl-1")).principal.roles.includes(Role.INTERNAL_USER_VIEWER));
    provider.accounts.set("carl-1", { role: "god" });
    assert.ok((await logIn(setup, "carl-1")).principal.roles.includes(Role.INTERNAL_USER_VIEWER));
  });

  test("who is blocked does not get in, and is out where a session was open", async () => {
    const { session } = await logIn(setup, "carl-1");
    await users.updateUser(
      { userId: "carl-1", settings: { blocked: true }, updateMask: { paths: ["settings.blocked"] } },
      master,
    );
    const { principal } = await setup.auth.authenticate({ keyHash: hashSessionToken(session.sessionToken) });
    assert.equal(principal?.blocked, true);
    await refused(logIn(setup, "carl-1"), Reason.PERMISSION_DENIED, "user");
  });

  test("a session ends by its time, by its end, and with its user", async () => {
    const keyHashOf = ({ session }: Awaited<ReturnType<typeof logIn>>) => hashSessionToken(session.sessionToken);
    const [one, other] = [await logIn(setup, "bob-1"), await logIn(setup, "bob-1")];
    await setup.client(LoginService).endSession({ sessionHash: keyHashOf(one) });
    assert.ok(setup.announced.includes(keyHashOf(one)));
    await refused(setup.auth.authenticate({ keyHash: keyHashOf(one) }), Reason.KEY_INVALID, "key");
    assert.equal(other.principal.expiresAt && timestampMs(other.principal.expiresAt), setup.clock.now + 86_400_000);
    setup.clock.now += 86_400_001;
    const later = await logIn(setup, "bob-1");
    await refused(setup.auth.authenticate({ keyHash: keyHashOf(other) }), Reason.KEY_INVALID, "key");
    await users.deleteUsers({ userIds: ["bob"] }, master);
    await refused(setup.auth.authenticate({ keyHash: keyHashOf(later) }), Reason.KEY_INVALID, "key");
    setup.clock.now += 1;
    await users.createUser({ userId: "bob", autoCreateKey: false }, master);
    await refused(setup.auth.authenticate({ keyHash: keyHashOf(later) }), Reason.KEY_INVALID, "key");
  });
});

describe("a login is refused", () => {
  const setup = someDomains;
  const login = setup.client(LoginService);
  provider.accounts.set("ada-2", { ...ada, email: "ada2@example.com" });

  const wrong: [string, (query: URLSearchParams) => void][] = [
    ["the state of another login", (query) => query.set("state", "another")],
    ["no state", (query) => query.delete("state")],
    ["a code that nobody gave out", (query) => query.set("code", "nobody's")],
    ["no code", (query) => query.delete("code")],
    ["a foreign issuer", (query) => query.set("iss", "https://elsewhere.example")],
    ["an error of the provider", (query) => query.set("error", "access_denied")],
  ];
  for (const [what, change] of wrong) {
    test(what, async () => {
      const { query, loginState } = await begin(setup, "ada-2");
      const changed = new URLSearchParams(query);
      change(changed);
      await refused(login.completeLogin({ query: changed.toString(), loginState }), Reason.KEY_INVALID, "login");
    });
  }

  test("a code that was used", async () => {
    const { query, loginState } = await begin(setup, "ada-2");
    assert.ok((await login.completeLogin({ query, loginState })).sessionToken);
    await refused(login.completeLogin({ query, loginState }), Reason.KEY_INVALID, "login");
  });

  test("in a browser that has not begun it", async () => {
    const [one, other] = [await begin(setup, "ada-2"), await begin(setup, "ada-2")];
    for (const loginState of ["", "rubbish", other.loginState, one.loginState.slice(0, -2)]) {
      await refused(login.completeLogin({ query: one.query, loginState }), Reason.KEY_INVALID, "login");
    }
  });

  test("that has taken too long", async () => {
    const { query, loginState } = await begin(setup, "ada-2");
    setup.clock.now += 600_001;
    const error = await refused(login.completeLogin({ query, loginState }), Reason.KEY_INVALID, "login");
    assert.match(error.message, /taken too long/);
  });

  test("of somebody whose address is of another domain, is not verified or is missing", async () => {
    const strangers: Account[] = [
      { email: "ada@elsewhere.example", email_verified: true },
      { email: "ada@example.com.elsewhere.example", email_verified: true },
      { email: "ada2@example.com", email_verified: false },
      { email: "ada2@example.com" },
      {},
    ];
    for (const account of strangers) {
      provider.accounts.set("stranger", account);
      await refused(logIn(setup, "stranger"), Reason.PERMISSION_DENIED, "email");
    }
  });

  test("with a way back that leads elsewhere", async () => {
    const paths = ["https://elsewhere.example", "//elsewhere.example", "/\\elsewhere.example", "ui", "/a\nb", "/a\tb"];
    for (const returnPath of [...paths, "/\u0000", `/${"x".repeat(2_000)}`]) {
      await refused(login.beginLogin({ returnPath }), Reason.INVALID_REQUEST, "return_to");
    }
  });

  test("while the provider is away, and not for good", async () => {
    provider.down = true;
    const fresh = await open(database.url);
    await refused(fresh.client(LoginService).beginLogin({}), Reason.UNAVAILABLE, "");
    provider.down = false;
    assert.ok((await fresh.client(LoginService).beginLogin({})).authorizationUrl);
    const { query, loginState } = await begin(fresh, "ada-2");
    provider.down = true;
    await refused(fresh.client(LoginService).completeLogin({ query, loginState }), Reason.UNAVAILABLE, "");
    provider.down = false;
    await fresh.close();
  });

  test("by an issuer that is not the one that was configured", async () => {
    const other = await open(database.url, { GENERIC_ISSUER: provider.issuer.replace("127.0.0.1", "localhost") });
    await refused(other.client(LoginService).beginLogin({}), Reason.UNAVAILABLE, "");
    await other.close();
  });

  test("where no provider is configured", async () => {
    const none = await setUp(database.url);
    await refused(none.client(LoginService).beginLogin({}), Reason.NOT_FOUND, "");
    await none.close();
  });
});

test("a provider of which the endpoints alone are known, as LiteLLM's variables have it", async () => {
  const { issuer } = provider;
  const setup = await open(database.url, {
    GENERIC_ISSUER: "",
    GENERIC_AUTHORIZATION_ENDPOINT: `${issuer}/auth`,
    GENERIC_TOKEN_ENDPOINT: `${issuer}/token`,
    GENERIC_USERINFO_ENDPOINT: `${issuer}/me`,
  });
  provider.accounts.set("dora-1", { preferred_username: "dora", email: "dora@example.com", email_verified: true });
  assert.equal((await logIn(setup, "dora-1")).principal.userId, "dora");
  await setup.close();
});

test("settings that are wrong stop the start in a sentence", () => {
  const generic = { GENERIC_CLIENT_ID: "a", PROXY_BASE_URL: base };
  const cases: [Record<string, string>, RegExp][] = [
    [{ GENERIC_CLIENT_ID: "a", GENERIC_ISSUER: "https://a.example" }, /PROXY_BASE_URL must be set/],
    [generic, /GENERIC_AUTHORIZATION_ENDPOINT must be set beside GENERIC_CLIENT_ID, or GENERIC_ISSUER/],
    [{ ...generic, GENERIC_ISSUER: "a.example" }, /GENERIC_ISSUER must be an http/],
    [
      { ...generic, GENERIC_ISSUER: "https://a.example", PROXY_BASE_URL: `${base}/x` },
      /PROXY_BASE_URL must have no path/,
    ],
    [{ GOOGLE_CLIENT_ID: "a", PROXY_BASE_URL: base }, /GOOGLE_CLIENT_SECRET must be set/],
    [
      { ...generic, GENERIC_ISSUER: "https://a.example", LITELLM_UI_SESSION_DURATION: "long" },
      /LITELLM_UI_SESSION_DURATION/,
    ],
  ];
  for (const [env, message] of cases) assert.throws(() => readLoginSettings(env, emptyYaml()), message);
  assert.equal(readLoginSettings({}, emptyYaml()), undefined);
});
