import assert from "node:assert/strict";
import { test } from "node:test";
import { ConnectError } from "@connectrpc/connect";
import { ownOpenAiRow } from "#catalog/catalog.ts";
import { findUpstreamError } from "#chassis/errors.ts";
import { Secret } from "#chassis/secret.ts";
import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { ProviderCall, UpstreamRequest } from "../../provider.ts";
import { createOpenAiExchange } from "./exchange.ts";

const base = {
  id: "x",
  base_url: "https://x.test/v1",
  paths: { chat_completions: "chat/completions" },
};

function requestOf(fields: object, changes: Partial<ProviderCall> & { text?: string } = {}): UpstreamRequest {
  const row = ownOpenAiRow({ ...base, ...fields });
  const { text = "{}", ...call } = changes;
  return createOpenAiExchange(row, {
    operation: Operation.CHAT_COMPLETIONS,
    stream: false,
    model: "m-1",
    body: Buffer.from(text),
    contentType: "application/json",
    baseUrl: "",
    settings: {},
    credential: new Secret("key"),
    headers: {},
    defaultParams: {},
    outputTokenCap: undefined,
    dropParams: false,
    allowedParams: [],
    createdAt: 0,
    ...call,
  }).request;
}

const bodies: [fields: object, text: string, expected: string, changes?: Partial<ProviderCall>][] = [
  [{ renames: [{ from: "a", to: "b" }] }, '{"a":1}', '{"model":"m-1","b":1}'],
  [{ renames: [{ from: "a", to: "b" }] }, '{"a":1,"b":2}', '{"b":2,"model":"m-1"}'],
  [{ renames: [{ from: "a", to: "b", models: "^n" }] }, '{"a":1}', '{"a":1,"model":"m-1"}'],
  [{ replacements: [{ field: "c", from: "y", to: "z" }] }, '{"c":"y"}', '{"c":"z","model":"m-1"}'],
  [{ replacements: [{ field: "c", from: "y", to: "z" }] }, '{"c":{"y":1}}', '{"c":{"y":1},"model":"m-1"}'],
  [{ clamps: [{ field: "t", max: 1 }] }, '{"t":1.5}', '{"t":1,"model":"m-1"}'],
  [{ clamps: [{ field: "t", min: 0.1, max: 1 }] }, '{"t":0}', '{"t":0.1,"model":"m-1"}'],
  [{ clamps: [{ field: "t", max: 1 }] }, '{"t":1.0}', '{"t":1.0,"model":"m-1"}'],
  [{ clamps: [{ field: "t", max: 1 }] }, '{"t":"hot"}', '{"t":"hot","model":"m-1"}'],
  [{ fixed: { store: false } }, '{"store":true}', '{"store":false,"model":"m-1"}'],
  [{ ignored_params: ["user"] }, '{"user":"u"}', '{"model":"m-1"}'],
  [{ ignored_params: ["user"] }, '{"user":"u"}', '{"user":"u","model":"m-1"}', { allowedParams: ["user"] }],
  [{ unsupported_params: ["stop"] }, '{"stop":null}', '{"model":"m-1"}'],
  [{ unsupported_params: ["stop"] }, '{"stop":"x"}', '{"model":"m-1"}', { dropParams: true }],
  [{ unsupported_params: ["stop"] }, '{"stop":"x"}', '{"stop":"x","model":"m-1"}', { allowedParams: ["stop"] }],
  [{ unsupported_params: [{ name: "stop", models: "^n" }] }, '{"stop":"x"}', '{"stop":"x","model":"m-1"}'],
  [{ model_names: [{ match: "^(?!accounts/)", to: "accounts/" }] }, "{}", '{"model":"accounts/m-1"}'],
  [
    { flattens_text: true },
    '{"messages":[{"role":"user","name":"n","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]}',
    '{"messages":[{"role":"user","name":"n","content":"ab"}],"model":"m-1"}',
  ],
  [
    { flattens_text: true },
    '{"messages":[{"content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{}}]},{"content":[]}]}',
    '{"messages":[{"content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{}}]},{"content":[]}],"model":"m-1"}',
  ],
  [
    { drops_message_names: true },
    '{"messages":[{"role":"user","name":"n","content":"a"},{"role":"tool","name":"f","content":"b"}]}',
    '{"messages":[{"role":"user","content":"a"},{"role":"tool","name":"f","content":"b"}],"model":"m-1"}',
  ],
  [
    { knows_developer_role: false },
    '{"messages":[{"role":"developer","content":"a"},{"role":"user","content":"the \\"developer\\""}]}',
    '{"messages":[{"role":"system","content":"a"},{"role":"user","content":"the \\"developer\\""}],"model":"m-1"}',
  ],
  [{ flattens_text: true }, '{ "messages": [ 1.0, "x" ] }', '{ "messages": [ 1.0, "x" ],"model":"m-1" }'],
];

test("a chat becomes what the row says, and differs nowhere else", () => {
  for (const [fields, text, expected, changes] of bodies) {
    const { body } = requestOf(fields, { text, ...changes });
    assert.equal(Buffer.from(body).toString(), expected, `${JSON.stringify(fields)} ${text}`);
  }
});

test("a parameter that the provider cannot take is refused by name", () => {
  assert.throws(
    () => requestOf({ unsupported_params: ["stop"] }, { text: '{"stop":["x"]}' }),
    /x does not support stop/,
  );
});

test("the quirks are those of a chat", () => {
  const paths = { completions: "completions" };
  const { body } = requestOf(
    { paths, unsupported_params: ["stop"], renames: [{ from: "stop", to: "halt" }] },
    { operation: Operation.COMPLETIONS, text: '{"stop":"x"}' },
  );
  assert.equal(Buffer.from(body).toString(), '{"stop":"x","model":"m-1"}');
});

const account = {
  base_url: "https://{account_id}.x.test/v1",
  settings: [{ name: "account_id", variables: ["X_ACCOUNT"] }],
};

test("addresses and headers are filled from settings", () => {
  const filled = requestOf(
    {
      ...account,
      paths: { chat_completions: "{model}/chat" },
      headers: { "x-site": "{site}", "x-key": "{api_key}", "x-fixed": "1" },
      key_prefix: "Key ",
      key_mark: "pat/",
    },
    { settings: { account_id: "acme-1.eu" }, credential: new Secret("pat/secret"), model: "a/b c" },
  );
  assert.equal(filled.url, "https://acme-1.eu.x.test/v1/a%2Fb%20c/chat");
  assert.equal(filled.headers.authorization, "Key secret");
  assert.equal(filled.headers["x-key"], "secret");
  assert.equal(filled.headers["x-fixed"], "1");
  assert.equal(filled.headers["x-site"], undefined);
  assert.equal(requestOf({}, { headers: { "x-fixed": "2" } }).headers["x-fixed"], "2");
});

test("an address from elsewhere is spelled as the provider knows it", () => {
  const row = { address_names: [{ match: "/ai/run$", to: "/ai/v1" }] };
  for (const [given, url] of [
    ["http://own/ai/run", "http://own/ai/v1/chat/completions"],
    ["http://own/ai", "http://own/ai/chat/completions"],
  ] as const) {
    assert.equal(requestOf(row, { baseUrl: given }).url, url);
  }
});

test("what is missing is named, with what to set", () => {
  const cases: [object, Partial<ProviderCall>, RegExp][] = [
    [account, {}, /no account_id for x: set X_ACCOUNT/],
    [account, { settings: { account_id: "evil.test/" } }, /cannot be part of an address/],
    [account, { settings: { account_id: "..", other: "" } }, /cannot be part of an address/],
    [
      { base_url: undefined, base_url_variables: ["X_BASE"] },
      {},
      /x has no address of its own: set X_BASE or api_base/,
    ],
    [{ key_variables: ["X_KEY"] }, { credential: undefined }, /no key for x: set X_KEY/],
  ];
  for (const [fields, changes, message] of cases) {
    assert.throws(
      () => requestOf(fields, changes),
      (error) =>
        error instanceof ConnectError && message.test(error.message) && findUpstreamError(error)?.httpStatus === 401,
      String(message),
    );
  }
  const own = requestOf({ base_url: undefined, root_path: "/v1" }, { baseUrl: "http://own", credential: undefined });
  assert.equal(own.url, "http://own/v1/chat/completions");
});
