import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type FakeUpstream, startFakeUpstream } from "#chassis/testing/fake-upstream.ts";
import { assertTellsNothing, readErrorAnswer } from "./harness/error-shape.ts";
import { type GatewayProcess, makeDataDir, removeDataDir, startGatewayProcess } from "./harness/gateway-process.ts";
import { helloAnswer } from "./harness/provider-answers.ts";
import { type RawAnswer, type RawRequest, sendBytes, sendRaw } from "./harness/raw-request.ts";
import { generateKey, spendRows } from "./harness/spend.ts";

const masterKey = "sk-master-of-the-tests";
const canary = "canary.provider/key+7f3a9";
const secrets = [masterKey, canary];
const maxBodyBytes = 3 * 1024 * 1024;

let gateway: GatewayProcess;
let upstream: FakeUpstream;
let dataDir: string;
before(async () => {
  dataDir = await makeDataDir();
  upstream = await startFakeUpstream(({ url, body }) =>
    helloAnswer(url.endsWith("/messages") ? "anthropic" : "openai", body.includes('"stream":true')),
  );
  const env = {
    OPENAI_API_KEY: canary,
    OPENAI_BASE_URL: `${upstream.url}/v1`,
    ANTHROPIC_API_KEY: canary,
    ANTHROPIC_BASE_URL: upstream.url,
    SLUICE_MAX_BODY_BYTES: String(maxBodyBytes),
    SLUICE_LOG: "debug",
  };
  gateway = await startGatewayProcess({ entry: "services/main.ts", env, dataDir, masterKey });
});
after(async () => {
  await gateway?.stop();
  await upstream?.close();
  await removeDataDir(dataDir);
});

const chat = "/v1/chat/completions";
const messagesPath = "/v1/messages";
const hi = '"messages":[{"role":"user","content":"hi"}]';
const echo = `"model":"mock/echo",${hi}`;
const claude = `"model":"claude-sonnet-4-5","max_tokens":9,${hi}`;
const deepTool = `${'{"items":'.repeat(100_000)}{}${"}".repeat(100_000)}`;
const deep = (levels: number) => "[".repeat(levels) + "]".repeat(levels);

function send(path: string, request: RawRequest = {}): Promise<RawAnswer> {
  const headers = { authorization: `Bearer ${masterKey}`, "content-type": "application/json", ...request.headers };
  return sendRaw(gateway.url + path, { ...request, headers });
}

function post(path: string, body: string | Uint8Array, headers: Record<string, string> = {}): Promise<RawAnswer> {
  return send(path, { body: body.length === 0 ? [] : [body], headers });
}

const dialectOf = (path: string) => (path === messagesPath ? "anthropic" : "openai");

/** What is expected of an error: `param` undefined means that it may be anything. */
interface Expected {
  readonly status: number;
  readonly type: string;
  readonly param?: string | null;
  readonly said?: RegExp;
}

function assertRefused(answer: RawAnswer, path: string, expected: Expected): void {
  assert.equal(answer.status, expected.status, answer.text.slice(0, 500));
  const error = readErrorAnswer(answer, dialectOf(path), secrets);
  assert.equal(error.type, expected.type);
  if (expected.said !== undefined) assert.match(error.message, expected.said);
  if (dialectOf(path) === "anthropic") return;
  assert.equal(error.code, String(expected.status));
  if (expected.param !== undefined) assert.equal(error.param, expected.param);
}

const invalid = { status: 400, type: "invalid_request_error" };
const notFound = { status: 404, type: "not_found_error", param: "model" };

/** Bodies that are refused: where they go, what they are, and the parameter that is named. */
type BadBody = readonly [name: string, path: string, body: string | Uint8Array, param: string | null, said?: RegExp];
const badBodies: readonly BadBody[] = [
  ["no body", chat, "", null, /no body/],
  ["malformed", chat, "{", null, /position 1/],
  ["a trailing comma", chat, `{${echo},}`, null, /position/],
  ["single quotes", chat, "{'model':'m'}", null, /position 1/],
  ["a form", chat, "model=mock%2Fecho&messages=hi", null, /position 0/],
  ["a list", chat, "[]", null, /must be a JSON object/],
  ["a text", chat, '"hi"', null, /must be a JSON object/],
  ["null", chat, "null", null, /must be a JSON object/],
  ["a byte order mark", chat, `\ufeff{${echo}}`, null],
  ["a raw NUL", chat, `{"model":"mock/echo\u0000",${hi}}`, null, /control character/],
  ["not UTF-8", chat, Buffer.from(`{"model":"mock/echo","messages":[{"role":"user","content":"é"}]}`, "latin1"), null],
  ["UTF-16", chat, Buffer.from(`{${echo}}`, "utf16le"), null],
  ["no model", chat, `{${hi}}`, "model"],
  ["an empty model", chat, `{"model":"",${hi}}`, "model"],
  ["a number as model", chat, `{"model":1,${hi}}`, "model"],
  ["an object as model", chat, `{"model":{},${hi}}`, "model"],
  ["a model of a megabyte", chat, `{"model":"${"m".repeat(1e6)}",${hi}}`, "model", /too long/],
  ["the model in a prototype", chat, `{"__proto__":{"model":"mock/echo"},${hi}}`, "model"],
  ["no messages", chat, '{"model":"mock/echo"}', "messages"],
  ["messages of null", chat, '{"model":"mock/echo","messages":null}', "messages"],
  ["messages as text", chat, '{"model":"mock/echo","messages":"hi"}', "messages"],
  ["a text as message", chat, '{"model":"mock/echo","messages":["hi"]}', "messages[0]"],
  ["null as message", chat, '{"model":"mock/echo","messages":[{},null]}', "messages[1]"],
  ["stream as text", chat, `{${echo},"stream":"yes"}`, "stream"],
  ["max_tokens as text", chat, `{${echo},"max_tokens":"9"}`, "max_tokens"],
  ["half a token", chat, `{${echo},"max_tokens":1.5}`, "max_tokens"],
  ["endless tokens", chat, `{${echo},"max_tokens":1e400}`, "max_tokens"],
  ["n above all bounds", chat, `{${echo},"n":1e20}`, "n"],
  ["deep nesting", chat, `{"model":"gpt-4o",${hi},"x":${deep(100_000)}}`, null, /deep/],
  [
    "a deep tool",
    chat,
    `{${claude},"tools":[{"type":"function","function":{"name":"f","strict":true,"parameters":${deepTool}}}]}`,
    null,
    /deep/,
  ],
  ["deep tags", chat, `{${echo},"metadata":{"tags":${deep(50_000)}}}`, "metadata.tags"],
  ["retries below zero", chat, `{${echo},"num_retries":-1}`, "num_retries"],
  ["a timeout of ages", chat, `{${echo},"timeout":1e300}`, "timeout"],
  ["a timeout of nothing", chat, `{${echo},"timeout":0}`, "timeout"],
  ["fallbacks as text", chat, `{${echo},"fallbacks":"gpt-4o"}`, "fallbacks"],
  ["metadata as text", chat, `{${echo},"metadata":"x"}`, "metadata"],
  ["an address of the client's own", chat, `{${echo},"api_base":"http://127.0.0.1:1"}`, "api_base", /not supported/],
  ["a key of the client's own", chat, `{${echo},"api_key":"sk-x"}`, "api_key", /not supported/],
  ["guardrails", chat, `{${echo},"guardrails":["g"]}`, "guardrails", /not supported/],
  ["no input", "/v1/embeddings", '{"model":"mock/echo"}', "input"],
  ["an object as input", "/v1/embeddings", '{"model":"mock/echo","input":{}}', "input"],
  ["no input for a response", "/v1/responses", '{"model":"mock/echo"}', "input"],
  [
    "a response in the background",
    "/v1/responses",
    '{"model":"mock/echo","input":"x","background":true}',
    "background",
  ],
  ["no prompt", "/v1/completions", '{"model":"mock/echo"}', "prompt"],
  ["embeddings of a chat provider", "/v1/embeddings", '{"model":"claude-sonnet-4-5","input":"x"}', null],
  ["a response of a chat provider", "/v1/responses", '{"model":"claude-sonnet-4-5","input":"x"}', null],
  ["n where there is one choice", chat, `{${claude},"n":2}`, "n", /drop_params/],
  ["logprobs where there are none", chat, `{${claude},"logprobs":true}`, "logprobs", /drop_params/],
  ["an unknown role", chat, '{"model":"claude-sonnet-4-5","messages":[{"role":"alien","content":"x"}]}', "messages"],
  ["messages: malformed", messagesPath, "{", null],
  ["messages: not UTF-8", messagesPath, Buffer.from([0x7b, 0xff, 0x7d]), null],
  ["messages: no model", messagesPath, `{"max_tokens":9,${hi}}`, "model"],
  ["messages: no messages", messagesPath, '{"model":"mock/echo","max_tokens":9}', "messages"],
  [
    "messages: unknown content",
    messagesPath,
    '{"model":"gpt-4o","max_tokens":9,"messages":[{"role":"user","content":[{"type":"alien"}]}]}',
    "messages",
  ],
];

describe("a body that is refused", () => {
  for (const [name, path, body, param, said] of badBodies) {
    test(name, async () => {
      const asked = upstream.requests.length;
      assertRefused(await post(path, body), path, { ...invalid, param, ...(said && { said }) });
      assert.equal(upstream.requests.length, asked, "the provider was asked");
    });
  }

  for (const model of ["nope", "nope/nope", "groq/llama", "mock/", "/", "../../etc/passwd", "x".repeat(500)]) {
    test(`the unknown model ${model.slice(0, 20)}`, async () => {
      const body = JSON.stringify({ model, max_tokens: 9, messages: [{ role: "user", content: "hi" }] });
      for (const path of [chat, messagesPath]) {
        const answer = await post(path, body);
        assertRefused(answer, path, notFound);
        assert.ok(answer.text.length < 1000);
      }
    });
  }
});

/** Odd bodies that are none of the gateway's business: the provider gets them as they are. */
const oddBodies: Readonly<Record<string, string>> = {
  "a member of a megabyte": `{${echo},"${"k".repeat(1e6)}":1}`,
  "a prototype": `{${echo},"__proto__":{"model":"nope"},"constructor":{"prototype":{}}}`,
  "the same member twice": `{"model":"nope",${echo}}`,
  "a number of ten thousand digits": `{${echo},"seed":${"9".repeat(10_000)}}`,
  "numbers out of range": `{${echo},"temperature":1e400,"top_p":-1e-400,"seed":-0}`,
  "NUL and half characters": `{"model":"mock/echo","user":"a\\u0000b\\ud800","tags":["\\udc00","\\u0000"],"messages":[{"role":"user","content":"\\ud800\\u0000"}]}`,
  "names of the runtime": `{${echo},"toString":1,"hasOwnProperty":{},"then":"x","toJSON":"y"}`,
  "a long user": `{${echo},"user":"${"u".repeat(100_000)}"}`,
};

test("odd bodies pass, and each leaves one spend row", async () => {
  const key = await generateKey(gateway);
  for (const [name, body] of Object.entries(oddBodies)) {
    const answer = await post(chat, body, { authorization: `Bearer ${key}` });
    assert.equal(answer.status, 200, `${name}: ${answer.text.slice(0, 300)}`);
  }
  await spendRows(gateway, key, Object.keys(oddBodies).length);
});

test("what the gateway does not know reaches the provider byte by byte", async () => {
  const rest = `${hi},"seed":12345678901234567890123,"x":{"__proto__":{"a":"\\ud800"}},"\\u0000":1e400`;
  assert.equal((await post(chat, `{"model":"gpt-4o",${rest}}`)).status, 200);
  assert.equal(upstream.requests.at(-1)?.body.toString(), `{"model":"gpt-4o",${rest}}`);
});

describe("a key that is refused", () => {
  const authError = { status: 401, type: "auth_error" };
  const unknown = { status: 401, type: "token_not_found_in_db", param: "key" };
  const cases: readonly (readonly [name: string, headers: Record<string, string>, expected: Expected])[] = [
    ["none", {}, authError],
    ["an empty one", { authorization: "" }, authError],
    ["the word Bearer", { authorization: "Bearer " }, authError],
    ["a wrong one", { authorization: "Bearer sk-wrong" }, unknown],
    ["a wrong one for Anthropic", { "x-api-key": "sk-wrong" }, unknown],
    ["another scheme", { authorization: "Basic c2stbWFzdGVy" }, unknown],
    ["the hash of a key", { authorization: `Bearer ${"0".repeat(64)}` }, unknown],
    ["bytes", { authorization: "Bearer sk-\xff\xfe" }, unknown],
    ["ten thousand characters", { authorization: `Bearer ${"k".repeat(10_000)}` }, unknown],
    [
      "a wrong one before the right one",
      { "x-litellm-api-key": "sk-no", authorization: `Bearer ${masterKey}` },
      unknown,
    ],
    ["SQL", { authorization: "Bearer ' OR 1=1 --" }, unknown],
  ];
  for (const [name, headers, expected] of cases) {
    test(name, async () => {
      for (const path of [chat, "/key/generate"]) {
        assertRefused(await sendRaw(gateway.url + path, { headers, body: [`{${echo}}`] }), path, expected);
      }
      const anthropic = await sendRaw(gateway.url + messagesPath, { headers, body: [`{${claude}}`] });
      assertRefused(anthropic, messagesPath, { status: 401, type: "authentication_error" });
    });
  }

  test("expired, blocked, without the right to the model", async () => {
    const brief = await generateKey(gateway, { duration: "1s" });
    const blocked = await generateKey(gateway, { blocked: true });
    const narrow = await generateKey(gateway, { models: ["mock/other", "gpt-*"] });
    await sleep(1100);
    const denied = { status: 401, type: "key_model_access_denied", param: "model" };
    for (const [key, expected] of [
      [brief, { status: 401, type: "expired_key", param: "key" }],
      [blocked, authError],
      [narrow, denied],
    ] as const) {
      const headers = { authorization: `Bearer ${key}` };
      assertRefused(await post(chat, `{${echo}}`, headers), chat, expected);
      const anthropic = await post(messagesPath, `{${echo}}`, headers);
      assertRefused(anthropic, messagesPath, { status: 401, type: "authentication_error" });
    }
    const fallback = `{"model":"gpt-4o",${hi},"mock_response":"litellm.InternalServerError: no","fallbacks":["mock/echo"]}`;
    const answer = await post(chat, fallback, { authorization: `Bearer ${narrow}` });
    assert.equal(answer.status, 500, "a fallback that the key may not use has answered");
  });

  test("a virtual key on the paths of an administrator", async () => {
    const key = await generateKey(gateway);
    const other = await generateKey(gateway);
    const headers = { authorization: `Bearer ${key}` };
    const forbidden = { status: 403, type: "auth_error" };
    assertRefused(await post("/key/generate", "{}", headers), chat, forbidden);
    assertRefused(await post("/key/delete", JSON.stringify({ keys: [other] }), headers), chat, forbidden);
    assertRefused(await send(`/key/info?key=${other}`, { method: "GET", headers }), chat, forbidden);
    assertRefused(await send("/key/info?key=sk-nobody", { method: "GET", headers }), chat, forbidden);
    const rows = await send(`/spend/logs?api_key=${other}`, { method: "GET", headers });
    assert.ok(rows.status === 403 || rows.text === "[]", rows.text);
    assert.equal((await send("/key/info", { method: "GET", headers })).status, 200);
  });
});

describe("a body that is too large", () => {
  const tooLarge = { status: 413, type: "invalid_request_error", said: /larger than/ };
  const half = "x".repeat(maxBodyBytes / 2 + 1);
  test("by its own account, and while it is read", async () => {
    for (const path of [chat, messagesPath]) {
      const expected = path === chat ? tooLarge : { ...tooLarge, type: "request_too_large" };
      const announced = { "content-length": String(half.length * 2) };
      assertRefused(await send(path, { headers: announced, body: [half, half] }), path, expected);
      assertRefused(await send(path, { body: [half, half] }), path, expected);
    }
  });

  test("for an administrator's path, whose bodies are small", async () => {
    assertRefused(await post("/key/generate", `{"metadata":{"x":"${half}"}}`), chat, tooLarge);
  });

  test("one of just the limit passes", async () => {
    const empty = `{${echo},"x":""}`;
    const body = empty.replace('""', `"${"x".repeat(maxBodyBytes - empty.length)}"`);
    assert.equal(body.length, maxBodyBytes);
    assert.equal((await post(chat, body)).status, 200);
  });
});

describe("HTTP that is odd", () => {
  test("methods and paths", async () => {
    const cases: readonly (readonly [method: string, path: string, status: number, type: string])[] = [
      ["GET", chat, 405, "invalid_request_error"],
      ["PUT", chat, 405, "invalid_request_error"],
      ["DELETE", "/v1/models", 405, "invalid_request_error"],
      ["GET", messagesPath, 405, "invalid_request_error"],
      ["GET", "/key/generate", 405, "invalid_request_error"],
      ["GET", "/nothing", 404, "not_found_error"],
      ["POST", "/v1/chat/completionsx", 404, "not_found_error"],
      ["GET", `/${"a".repeat(8000)}`, 404, "not_found_error"],
      ["GET", "/%00%0d%0aset-cookie:%20a=b", 404, "not_found_error"],
      ["GET", "/../../etc/passwd", 404, "not_found_error"],
      ["POST", "/engines/%ff/chat/completions", 404, "not_found_error"],
      ["GET", "/v1/models/%", 404, "not_found_error"],
      ["GET", "/v1/models/%00", 404, "not_found_error"],
      ["GET", "/v1/models/nope", 404, "not_found_error"],
      ["GET", "/__proto__", 404, "not_found_error"],
      ["GET", "/v1/models/__proto__", 404, "not_found_error"],
    ];
    for (const [method, path, status, type] of cases) {
      const answer = await send(path, { method });
      assertRefused(answer, path, { status, type });
      assert.ok(answer.text.length < 1000);
      if (status === 405) assert.ok(answer.headers.allow, path);
    }
  });

  test("headers that mean something and make no sense", async () => {
    const cases: readonly (readonly [name: string, value: string])[] = [
      ["x-litellm-timeout", "soon"],
      ["x-litellm-timeout", "-1"],
      ["x-litellm-stream-timeout", "NaN"],
      ["x-litellm-num-retries", "Infinity"],
      ["content-encoding", "gzip"],
    ];
    for (const [name, value] of cases) {
      assertRefused(await post(chat, `{${echo}}`, { [name]: value }), chat, { ...invalid, param: name });
    }
  });

  test("headers that mean nothing", async () => {
    const cases: readonly Record<string, string>[] = [
      { "content-type": "text/html" },
      { "content-type": "\xff" },
      { accept: "image/png" },
      { "x-litellm-call-id": "<script>" },
      { "x-litellm-call-id": "a".repeat(1000) },
      { "x-litellm-tags": `,,\xff,${"t".repeat(5000)}` },
      { "anthropic-beta": "\xe9" },
      { origin: "null" },
      { upgrade: "websocket", connection: "upgrade" },
      { "x-forwarded-for": "' OR 1=1" },
    ];
    for (const headers of cases) {
      const answer = await post(chat, `{${echo}}`, headers);
      assert.equal(answer.status, 200, JSON.stringify(headers));
      assert.match(answer.headers["x-litellm-call-id"]?.toString() ?? "", /^[\w-]{36}$/);
    }
  });

  test("bytes that are no HTTP get no answer that looks like one of ours", async () => {
    const head = `POST ${chat} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${masterKey}\r\n`;
    const cases: readonly (readonly [bytes: string, answered: RegExp])[] = [
      ["garbage\r\n\r\n", /^HTTP\/1.1 400 /],
      ["\x16\x03\x01\x02\x00\x01\x00", /^HTTP\/1.1 400 /],
      ["GET / HTTP/9.9\r\nhost: x\r\n\r\n", /^HTTP\/1.1 400 /],
      [`${head}content-length: -5\r\n\r\n`, /^HTTP\/1.1 400 /],
      [`${head}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`, /^HTTP\/1.1 400 /],
      [`${head}transfer-encoding: chunked\r\n\r\nZZ\r\n`, /^HTTP\/1.1 400 /],
      [`GET /v1/models HTTP/1.1\r\nhost: x\r\nx: ${"y".repeat(70_000)}\r\n\r\n`, /^HTTP\/1.1 431 /],
      [`OPTIONS * HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`, /^HTTP\/1.1 404 /],
      ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\ngarbage", /./],
    ];
    const answers = await Promise.all(cases.map(([bytes]) => sendBytes(gateway.url, bytes, 3000)));
    cases.forEach(([bytes, answered], at) => {
      assert.match(answers[at] ?? "", answered, JSON.stringify(bytes.slice(0, 60)));
      assertTellsNothing(answers[at] ?? "", secrets);
    });
  });

  test("requests that end in the middle", async () => {
    const head = `POST ${chat} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${masterKey}\r\n`;
    const halves = [
      head,
      `${head}content-length: 1000\r\n\r\n{"model"`,
      `${head}transfer-encoding: chunked\r\n\r\n8\r\n{"model"\r\n`,
      `${head}content-length: ${maxBodyBytes * 2}\r\n\r\n{"model"`,
      `GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${masterKey}\r\n\r\nGET /v1/mod`,
      "PRI * HT",
      "",
    ];
    const answers = await Promise.all(
      halves.flatMap((half) => [20, 200].map((ms) => sendBytes(gateway.url, half, ms))),
    );
    for (const answer of answers) assert.doesNotMatch(answer, /^HTTP\/1.1 (?:200 .*chat|500)/);
  });
});

const generate = "/key/generate";

describe("a key that cannot be made", () => {
  const cases: Readonly<Record<string, readonly string[]>> = {
    max_budget: ["-1", "1e400", '"NaN"', '"Infinity"', "1e18", "true", "[]", '"ten"', '"1e3"'],
    budget_duration: ['"soon"', '"0d"', '"-1d"', '"2mo"', "30", '"99999999999999999999d"'],
    duration: ['"abc"', '"-5s"', '"0s"', '"1.5h"', '"1y"', '"999999999999d"', "5", "{}"],
    rpm_limit: ["-1", "1.5", "1e30", '"abc"', '"9223372036854775808"', "true", "2147483648"],
    tpm_limit: ["-1", "1.5", "1e17", "[1]"],
    max_parallel_requests: ["-5", "0.5", "1e10"],
    models: ['"gpt-4o"', "[1]", "[null]", '[""]', "{}", '["a\\u0000"]'],
    metadata: ['"x"', "[1]", "5", '{"a":"\\u0000"}', '{"a":"\\ud800"}', `{"a":${deep(5000)}}`],
    key: ['"abc"', '"sk-short"', '"sk-with a space in it"', '"sk-\\u0000aaaaaaaaaaaaaaaaaaa"', "5"],
    key_alias: [`"${"a".repeat(300)}"`, '"a\\u0000"', "5", "{}"],
    user_id: ['"\\udc00"', "1"],
    team_id: ['"a\\nb"', "[]"],
    blocked: ['"yes"', "1"],
    spend: ["-1", '"x"', "[]"],
    key_type: ['"other"', "5"],
    soft_budget: ["-1", '"x"'],
    tags: ['"t"', "[5]"],
    allowed_routes: ['"/v1/models"', "[{}]"],
    auto_rotate: ['"sometimes"', "7"],
    // LiteLLM has them, and they are not built.
    guardrails: ['["g"]'],
    model_max_budget: ['{"gpt-4o":1}'],
    permissions: ['{"a":true}'],
  };
  for (const [field, values] of Object.entries(cases)) {
    test(field, async () => {
      for (const value of values) {
        const answer = await post(generate, `{"${field}":${value}}`);
        assertRefused(answer, generate, { ...invalid, param: field, said: new RegExp(field) });
      }
    });
  }

  test("a body that is no object", async () => {
    for (const body of ["[]", "null", '"x"', "{", "\u0000"])
      assertRefused(await post(generate, body), generate, invalid);
  });

  test("an alias or a key that is taken", async () => {
    const conflict = { status: 409, type: "bad_request_error" };
    const own = "sk-a-key-of-our-own-choice";
    assert.equal((await post(generate, `{"key_alias":"taken","key":"${own}"}`)).status, 200);
    assertRefused(await post(generate, '{"key_alias":"taken"}'), generate, { ...conflict, param: "key_alias" });
    const again = await post(generate, `{"key":"${own}"}`);
    assertRefused(again, generate, { ...conflict, param: "key" });
    assertTellsNothing(again.text, [own]);
    assertTellsNothing(gateway.output(), [own]);
    assertRefused(await post(generate, `{"key":"${masterKey}"}`), generate, { ...conflict, param: "key" });
  });

  test("what is unset or unknown does no harm", async () => {
    const body = '{"max_budget":null,"budget_id":null,"tags":[],"permissions":{},"soft_budget":null,"nobody":"knows"}';
    assert.equal((await post(generate, body)).status, 200);
    assert.equal((await post(generate, '{"__proto__":{"blocked":true},"constructor":1}')).status, 200);
  });
});

test("keys and spend rows that cannot be found", async () => {
  const cases: readonly (readonly [method: string, path: string, body: string, expected: Expected])[] = [
    ["GET", "/key/info?key=sk-nobody", "", { status: 404, type: "not_found_error", param: "key" }],
    ["GET", "/key/info?key=%00", "", { ...invalid, param: "key" }],
    ["POST", "/key/delete", "{}", invalid],
    ["POST", "/key/delete", '{"keys":"sk-x"}', { ...invalid, param: "keys" }],
    ["POST", "/key/delete", '{"keys":[{}]}', { ...invalid, param: "keys" }],
    ["POST", "/key/delete", '{"keys":["sk-nobody"]}', { status: 404, type: "not_found_error", param: "keys" }],
    ["GET", "/spend/logs?limit=abc", "", { ...invalid, param: "limit" }],
    ["GET", "/spend/logs?limit=-1", "", { ...invalid, param: "limit" }],
    ["GET", "/spend/logs?start_date=yesterday", "", { ...invalid, param: "start_date" }],
    ["GET", "/spend/logs?api_key=%00", "", { ...invalid, param: "api_key" }],
  ];
  for (const [method, path, body, expected] of cases) {
    assertRefused(await send(path, { method, body: body === "" ? [] : [body] }), path, expected);
  }
  assert.equal((await send("/spend/logs?api_key=%27%20OR%201%3D1--", { method: "GET" })).text, "[]");
});

test("after all that the process is the same and answers", async () => {
  const answer = await post(chat, `{${echo}}`);
  assert.equal(answer.status, 200);
  assert.match(answer.text, /"content":"hi"/);
  assert.equal((await send("/health/readiness", { method: "GET" })).status, 200);
  assertTellsNothing(gateway.output(), secrets);
});
