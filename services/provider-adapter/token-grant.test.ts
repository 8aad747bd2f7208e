import assert from "node:assert/strict";
import { after, test } from "node:test";
import { findUpstreamError } from "#chassis/errors.ts";
import { startFakeUpstream } from "#chassis/testing/fake-upstream.ts";
import { startAdapter } from "./testing/adapter-under-test.ts";

/** Calls whose token is fetched first, over HTTP: token server and provider are one here. */
const upstream = await startFakeUpstream();
const adapter = startAdapter();
after(async () => {
  await upstream.close();
  await adapter.close();
});

const json = { "content-type": "application/json" };
const choice = { index: 0, message: { role: "assistant", content: "Hello" }, finish_reason: "stop" };
const answer = { headers: json, body: JSON.stringify({ id: "c", choices: [choice] }) };

const targets = {
  watsonx: {
    model: "ibm/granite",
    settings: { project_id: "p", watsonx_iam_url: `${upstream.url}/identity/token` },
    credential: "ibm-key-that-must-not-leak",
  },
  databricks: {
    model: "llama",
    settings: { client_id: "c" },
    credential: JSON.stringify({ client_secret: "databricks-secret-that-must-not-leak" }),
  },
};

function call(provider: keyof typeof targets) {
  const { model, settings, credential } = targets[provider];
  const sealedCredential = adapter.seal(credential);
  return adapter.call({ target: { provider, model, settings, baseUrl: upstream.url, sealedCredential } });
}

test("a token is fetched once and sent with every call", async () => {
  const places = {
    watsonx: ["/identity/token", "/ml/v1/text/chat?version=2024-03-13"],
    databricks: ["/oidc/v1/token", "/serving-endpoints/chat/completions"],
  };
  for (const provider of ["watsonx", "databricks"] as const) {
    const [tokenPath = "", callPath = ""] = places[provider];
    const from = upstream.requests.length;
    const token = { access_token: `token-of-${provider}`, expires_in: 3600 };
    upstream.answer(({ url }) => (url === tokenPath ? { headers: json, body: JSON.stringify(token) } : answer));
    for (let nth = 0; nth < 2; nth += 1) {
      const { error, text } = await call(provider);
      assert.equal(error, undefined);
      assert.equal(JSON.parse(text).choices[0].message.content, "Hello");
    }
    const asked = upstream.requests.slice(from);
    assert.deepEqual(
      asked.map(({ url }) => url),
      [tokenPath, callPath, callPath],
    );
    assert.match(String(asked[0]?.headers["content-type"]), /^application\/x-www-form-urlencoded/);
    assert.equal(asked[2]?.headers.authorization, `Bearer token-of-${provider}`);
  }
});

test("a credential that is refused is the call's failure, and told without it", async () => {
  const fresh = startAdapter();
  try {
    upstream.answer({ status: 400, headers: json, body: '{"errorMessage":"ibm-key-that-must-not-leak is unknown"}' });
    const { model, settings, credential } = targets.watsonx;
    const sealedCredential = fresh.seal(credential);
    const target = { provider: "watsonx", model, settings, baseUrl: upstream.url, sealedCredential };
    const { error } = await fresh.call({ target });
    const detail = error === undefined ? undefined : findUpstreamError(error);
    assert.deepEqual(
      [detail?.httpStatus, detail?.message],
      [401, "IBM Cloud refused the credential of watsonx: … is unknown"],
    );
    assert.ok(!fresh.logLines.join().includes(credential));
  } finally {
    await fresh.close();
  }
});
