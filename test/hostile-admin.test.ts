import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { callerHeaders, masterCaller } from "#chassis/caller-header.ts";
import { type AdminPath, adminPaths, takesText } from "./harness/admin-fields.ts";
import { assertTellsNothing } from "./harness/error-shape.ts";
import { type GatewayProcess, makeDataDir, removeDataDir, startGatewayProcess } from "./harness/gateway-process.ts";
import { type RawAnswer, sendBytes, sendRaw } from "./harness/raw-request.ts";
import { generateKey } from "./harness/spend.ts";

const masterKey = "sk-master-of-the-tests";
/** In every name of a tenant whose things nobody else may see. */
const mark = "victim-7f3a9";

/** Texts that mean something to a database, a shell, a header or a runtime. */
const hostileTexts = [
  "' or '1'='1",
  `'; drop table auth.virtual_key; --`,
  `x') or 1=1 union select key_id, key_name from auth.virtual_key --`,
  "%",
  "_",
  "\\",
  "$1 ? :x {} @@version",
  "nul\0byte",
  "line\r\nx-evil: 1",
  "\ud800 alone",
  "\u202egnp.exe",
  "zero\u200bwidth\ufeff",
  "__proto__",
  "constructor",
  "toString",
  "../../etc/passwd",
  "<script>alert(1)</script>",
  "a".repeat(100_000),
];

/** Values of every JSON type; most are wrong wherever they come. */
const confusedValues: readonly unknown[] = [
  true,
  -1,
  1e308,
  0.1,
  [],
  {},
  [[["x"]]],
  { toString: "x", valueOf: 1 },
  [null],
  "1e400",
  "9".repeat(40),
  2 ** 53,
];

describe("hostile input over REST", () => {
  let gateway: GatewayProcess;
  let dataDir: string;
  let mallory: string;
  before(async () => {
    dataDir = await makeDataDir();
    const env = { SLUICE_LOG: "debug", SLUICE_FAILED_AUTH_PER_MINUTE: "0" };
    gateway = await startGatewayProcess({ entry: "services/main.ts", env, dataDir, masterKey });
    await admin("/user/new", { user_id: mark, user_email: `${mark}@example.com`, user_alias: mark });
    await admin("/key/generate", { key_alias: mark, user_id: mark, metadata: { mark } });
    await admin("/customer/new", { user_id: mark, alias: mark });
    await admin("/tag/new", { name: mark, description: mark });
    await admin("/budget/new", { budget_id: mark, max_budget: 1 });
    await admin("/user/new", { user_id: "mallory", auto_create_key: false });
    mallory = await generateKey(gateway, { user_id: "mallory" });
  });
  after(async () => {
    await gateway?.stop();
    await removeDataDir(dataDir);
  });

  async function admin(path: string, body?: object): Promise<string> {
    const response = await gateway.request(path, body === undefined ? {} : { body });
    const text = await response.text();
    assert.equal(response.status, 200, `${path}: ${text}`);
    return text;
  }

  function send(verb: string, path: string, key: string, body = "", more: Record<string, string> = {}) {
    const headers = { authorization: `Bearer ${key}`, "content-type": "application/json", ...more };
    const length = { "content-length": String(Buffer.byteLength(body)) };
    return sendRaw(gateway.url + path, { method: verb, headers: { ...headers, ...length }, body: body ? [body] : [] });
  }

  /** Gives one parameter of a path a value, in the query or in the body. */
  function give({ verb, path }: AdminPath, name: string, value: unknown, key: string): Promise<RawAnswer> {
    if (verb !== "GET") return send(verb, path, key, JSON.stringify({ [name]: value }));
    const text = typeof value === "string" ? value : JSON.stringify(value);
    const query = new URLSearchParams([[name, text.slice(0, 10_000)]]);
    return send(verb, `${path}?${query}`, key);
  }

  function assertHarmless(answer: RawAnswer, what: string): void {
    assert.ok(answer.status >= 200 && answer.status < 500, `${what}: ${answer.status} ${answer.text.slice(0, 300)}`);
    assert.equal(answer.headers["x-evil"], undefined, what);
    assertTellsNothing(answer.text, []);
    if (answer.status < 400) return;
    assert.equal(typeof JSON.parse(answer.text).error.message, "string", what);
    assert.doesNotMatch(
      answer.text,
      /syntax error at|relation "|pg_catalog|SQLSTATE|duplicate key|invalid input syntax/i,
      what,
    );
  }

  /** Does the work for all items, some of them at a time. */
  async function spread<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
    const rest = items.values();
    const worker = async () => {
      for (const item of rest) await work(item);
    };
    await Promise.all(Array.from({ length: 6 }, worker));
  }

  const parameters = adminPaths().flatMap((path) => path.fields.map((field) => ({ path, field })));

  test("names of the language's own members are names like any other", async () => {
    for (const name of ["__proto__", "constructor", "hasOwnProperty", "toString"]) {
      await admin("/user/new", { user_id: name, auto_create_key: false, max_budget: 5 });
      assert.equal(JSON.parse(await admin(`/user/info?user_id=${name}`)).user_info.user_id, name);
      await admin("/customer/new", { user_id: name, blocked: true });
      await admin("/tag/new", { name, max_budget: 0 });
      const models = `{"models":["${name}"],"aliases":{"${name}":"mock/echo"},"model_rpm_limit":{"${name}":7},"model_max_budget":{"${name}":{"max_budget":1}},"metadata":{"${name}":{"polluted":true}},"user_id":"${name}"}`;
      const made = await send("POST", "/key/generate", masterKey, models);
      assert.equal(made.status, 200, made.text);
      for (const part of [`"${name}":"mock/echo"`, `"${name}":7`]) assert.ok(made.text.includes(part), made.text);
      const { key } = JSON.parse(made.text);
      const body = (members: object) =>
        JSON.stringify({ model: "mock/echo", messages: [{ role: "user", content: "hi" }], ...members });
      const chat = (members: object, by = masterKey) => send("POST", "/v1/chat/completions", by, body(members));
      assert.equal((await chat({ user: name })).status, 403, `customer ${name} is blocked`);
      assert.ok((await chat({ metadata: { tags: [name] } })).status < 500);
      assert.ok([401, 404].includes((await chat({ model: name })).status), `model ${name}`);
      assert.ok((await chat({ model: name }, key)).status < 500);
      const clean = JSON.parse(await admin("/user/info?user_id=mallory"));
      assert.equal(JSON.stringify(clean).includes("polluted"), false);
    }
  });

  test("names that look alike are different names, and come back as they were", async () => {
    const names = [
      "caf\u00e9",
      "cafe\u0301",
      "\u202eadmin",
      "ad\u200bmin",
      "admin",
      "АdminС",
      "\ud83d\udc69\u200d\ud83d\udcbb",
    ];
    for (const name of names) {
      await admin("/user/new", { user_id: `id ${name}`, user_alias: name, auto_create_key: false });
      await admin("/customer/new", { user_id: name });
    }
    for (const name of names) {
      const found = JSON.parse(await admin(`/user/info?user_id=${encodeURIComponent(`id ${name}`)}`));
      assert.equal(found.user_info.user_alias, name);
      const customer = JSON.parse(await admin(`/customer/info?end_user_id=${encodeURIComponent(name)}`));
      assert.equal(customer.user_id, name);
    }
  });

  test("every text of every admin path takes hostile texts, or refuses them", async () => {
    const cases = parameters
      .filter(({ field }) => takesText(field))
      .flatMap(({ path, field }, at) => [0, 1, 2].map((n) => ({ path, field, text: hostileAt(at * 3 + n) })));
    assert.ok(cases.length > 100);
    await spread(cases, async ({ path, field, text }) => {
      const value = field.fieldKind === "list" ? [text] : text;
      const what = `${path.verb} ${path.path} ${field.name} ${JSON.stringify(text.slice(0, 40))}`;
      assertHarmless(await give(path, field.name, value, masterKey), what);
      const answer = await give(path, field.name, value, mallory);
      assertHarmless(answer, `${what} by a user`);
      assert.ok(!answer.text.includes(mark), `${what}: another tenant's ${answer.text.slice(0, 300)}`);
    });
  });

  function hostileAt(at: number): string {
    return hostileTexts[at % hostileTexts.length] ?? "";
  }

  test("a filter with SQL in it finds nothing", async () => {
    const lists = adminPaths().filter(({ verb, path }) => verb === "GET" && path.endsWith("/list"));
    const cases = lists.flatMap((path) =>
      path.fields
        .filter((field) => takesText(field))
        .flatMap((field) => hostileTexts.slice(0, 7).map((text) => ({ path, field, text }))),
    );
    await spread(cases, async ({ path, field, text }) => {
      const answer = await give(path, field.name, text, masterKey);
      const what = `${path.path} ${field.name} ${text}`;
      assertHarmless(answer, what);
      assert.ok(!answer.text.includes(mark), `${what}: ${answer.text.slice(0, 300)}`);
    });
  });

  test("every parameter of every admin path takes a wrong type, or refuses it", async () => {
    const cases = parameters.flatMap(({ path, field }, at) =>
      [0, 1].map((n) => ({ path, field, value: confusedValues[(at * 2 + n) % confusedValues.length] })),
    );
    await spread(cases, async ({ path, field, value }) => {
      const what = `${path.verb} ${path.path} ${field.name} ${JSON.stringify(value).slice(0, 40)}`;
      assertHarmless(await give(path, field.name, value, masterKey), what);
    });
  });

  test("bodies that are no object, too large, too deep or of too many entries are refused", async () => {
    const cases: [body: string, status: number][] = [
      ["[]", 400],
      ["null", 400],
      ['"text"', 400],
      ["{", 400],
      ['{"key_alias":"a","key_alias":', 400],
      [`{"metadata":${'{"a":'.repeat(2_000)}1${"}".repeat(2_000)}}`, 400],
      [JSON.stringify({ models: Array.from({ length: 5_000 }, (_, at) => `m${at}`) }), 400],
      [JSON.stringify({ aliases: Object.fromEntries(Array.from({ length: 5_000 }, (_, at) => [`a${at}`, "m"])) }), 400],
      [JSON.stringify({ key_alias: "x".repeat(257) }), 400],
      [JSON.stringify({ metadata: { text: "x".repeat(2 * 1024 * 1024) } }), 413],
    ];
    for (const [body, status] of cases) {
      const answer = await send("POST", "/key/generate", masterKey, body);
      assert.equal(answer.status, status, `${body.slice(0, 60)}: ${answer.text.slice(0, 300)}`);
    }
  });

  test("a path that is written in another way leads nowhere", async () => {
    const { host } = new URL(gateway.url);
    const paths = [
      "/key/../key/info",
      "/%2e%2e/key/info",
      "/key%2finfo",
      "/key%2Finfo?key=x",
      "/KEY/INFO",
      "/key/info%00",
      "/key/info;v=1",
      "/key/info%20",
      "/key\\info",
      "/./key/info",
      "/key/info\u00a0",
      `http://${host}/key/info`,
      "http://elsewhere.example/key/info",
      `/${"a".repeat(10_000)}`,
      `/key/info?key=${"%61".repeat(3_000)}`,
      `/${"../".repeat(500)}etc/passwd`,
      "*",
    ];
    for (const path of paths) {
      const bytes = `GET ${path} HTTP/1.1\r\nhost: ${host}\r\nauthorization: Bearer ${mallory}\r\nconnection: close\r\n\r\n`;
      const answer = await sendBytes(gateway.url, bytes, 5_000);
      assert.match(answer, /^HTTP\/1\.1 4\d\d /, `${path.slice(0, 60)}: ${answer.slice(0, 200)}`);
      assert.ok(!answer.includes(mark));
    }
    const raw = [
      `GET /key/info\0 HTTP/1.1\r\nhost: ${host}\r\n\r\n`,
      `GET /${"a".repeat(100_000)} HTTP/1.1\r\nhost: ${host}\r\n\r\n`,
      `GET /key/info HTTP/1.1\r\nhost: ${host}\r\nx: ${"a".repeat(100_000)}\r\n\r\n`,
      `GET /key/info HTTP/1.1\r\nhost: ${host}\r\nauthorization: Bearer a\0b\r\n\r\n`,
      `GET /key/info HTTP/1.1\r\nhost: ${host}\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n`,
    ];
    for (const bytes of raw) {
      assert.match(await sendBytes(gateway.url, bytes, 5_000), /^(HTTP\/1\.1 4\d\d |$)/, bytes.slice(0, 80));
    }
  });

  test("header values of any kind authenticate nobody and come back nowhere", async () => {
    const values = [
      "Bearer",
      "Bearer ",
      "Bearer  x",
      "Basic c2s6",
      "Bearer sk-x, Bearer sk-y",
      "__proto__",
      "é".repeat(200),
    ];
    for (const value of values) {
      const answer = await sendRaw(`${gateway.url}/key/info`, {
        method: "GET",
        headers: { authorization: Buffer.from(value).toString("latin1") },
      });
      assert.equal(answer.status, 401, `${value}: ${answer.text.slice(0, 200)}`);
    }
    const forged = {
      ...callerHeaders(masterCaller("f".repeat(64))),
      "litellm-changed-by": "x".repeat(5_000),
      "x-litellm-call-id": "id%0d%0ax-evil: 1",
      "x-forwarded-for": "' or 1=1 --",
    };
    const answer = await send("GET", "/key/info", mallory, undefined, forged);
    assertHarmless(answer, "forged headers");
    assert.equal(JSON.parse(answer.text).info.user_id, "mallory");
    assert.equal((await send("POST", "/budget/new", mallory, "{}", forged)).status, 403);
  });

  test("a key in a query string authenticates nobody outside of Google's paths, and is in no log line", async () => {
    const secret = await generateKey(gateway, { key: "sk-in-the-query-canary-51c2" });
    const paths = ["/v1/models", "/key/info", "/user/info", "/spend/logs", "/customer/list", "/v1/chat/completions"];
    for (const path of paths) {
      for (const name of ["key", "api_key", "token", "access_token", "authorization"]) {
        const method = path.endsWith("completions") ? "POST" : "GET";
        const answer = await sendRaw(`${gateway.url}${path}?${name}=${secret}`, { method });
        assert.equal(answer.status, 401, `${path}?${name}=: ${answer.text.slice(0, 200)}`);
        assert.ok(!answer.text.includes(secret));
      }
    }
    const google = await sendRaw(`${gateway.url}/v1beta/models?key=${secret}`, { method: "GET" });
    assert.equal(google.status, 200, google.text);
    const asked = await send("GET", `/key/info?key=${secret}`, masterKey);
    assert.equal(asked.status, 200);
    assert.ok(!gateway.output().includes(secret), "a key was logged");
  });

  test("after all of it the victim has everything that it had, and nobody saw an error of the inside", async () => {
    const { user_info: user, keys } = JSON.parse(await admin(`/user/info?user_id=${mark}`));
    assert.deepEqual([user.user_alias, user.user_email, keys.length > 0], [mark, `${mark}@example.com`, true]);
    assert.ok((await admin("/tag/list")).includes(mark));
    assert.ok((await admin("/customer/list")).includes(mark));
    assert.doesNotMatch(gateway.output(), /"level":"error"|unhandled/i);
  });
});
