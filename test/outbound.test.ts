import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createAuthority } from "#chassis/testing/certificates.ts";
import { type ForwardProxy, startForwardProxy } from "#chassis/testing/forward-proxy.ts";
import { type GatewayProcess, makeDataDir, removeDataDir, startGatewayProcess } from "./harness/gateway-process.ts";

const entry = "services/main.ts";
const body = { model: "gpt-4o", messages: [{ role: "user", content: "Hello!" }] };
const completion = {
  id: "chatcmpl-1",
  object: "chat.completion",
  created: 1,
  model: "gpt-4o",
  choices: [{ index: 0, message: { role: "assistant", content: "Hi." }, finish_reason: "stop" }],
  usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
};

/** A gateway where nothing but a proxy leads outside, and the authority of what is there is the company's own. */
describe("behind a company's proxy", () => {
  let dataDir: string;
  let proxy: ForwardProxy;
  let port: number;
  let authorities: string;
  let stop: () => void;
  before(async () => {
    dataDir = await makeDataDir();
    const company = await createAuthority("company");
    const { certificate, key } = await company.issue({ names: ["provider.test", "tokens.test"] });
    authorities = join(dataDir, "authorities.pem");
    await writeFile(authorities, company.certificate);
    // Of its names none can be resolved here.
    const outside = createServer({ cert: certificate, key }, (request, response) => {
      const isToken = request.headers.host?.startsWith("tokens.test") === true;
      const answer = isToken ? { active: true, sub: "someone", scope: "" } : completion;
      request.resume().on("end", () => {
        response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(answer));
      });
    }).listen(0, "127.0.0.1");
    await once(outside, "listening");
    port = (outside.address() as AddressInfo).port;
    stop = () => outside.close().closeAllConnections();
    proxy = await startForwardProxy({ authorization: `Basic ${Buffer.from("me:secret").toString("base64")}` });
  });
  after(async () => {
    await proxy?.close();
    stop?.();
    await removeDataDir(dataDir);
  });

  /** One after the other, on the same data. */
  async function withGateway(
    config: string,
    env: Record<string, string>,
    use: (gateway: GatewayProcess) => Promise<void>,
  ) {
    const file = join(dataDir, "config.yaml");
    await writeFile(file, config);
    const given = {
      CONFIG_FILE_PATH: file,
      OPENAI_API_KEY: "sk-x",
      OPENAI_BASE_URL: `https://provider.test:${port}/v1`,
    };
    const gateway = await startGatewayProcess({ entry, dataDir: join(dataDir, "data"), env: { ...given, ...env } });
    try {
      await use(gateway);
    } finally {
      await gateway.stop();
    }
  }

  test("calls and the issuer of tokens are reached through it, and its password is in no log", async () => {
    const config = `
environment_variables: { HTTPS_PROXY: "${proxy.url.replace("//", "//me:secret@")}", SSL_CERT_FILE: "${authorities}" }
general_settings: { enable_oauth2_auth: true }
`;
    const env = { OAUTH_TOKEN_INFO_ENDPOINT: `https://tokens.test:${port}/info`, SLUICE_LOG: "debug" };
    await withGateway(config, env, async (gateway) => {
      for (const key of [gateway.masterKey, "an-opaque-token"]) {
        const response = await gateway.request("/v1/chat/completions", { key, body });
        assert.equal(response.status, 200, await response.clone().text());
        assert.match(await response.text(), /"content":"Hi\."/);
      }
      assert.deepEqual(new Set(proxy.asked), new Set([`CONNECT provider.test:${port}`, `CONNECT tokens.test:${port}`]));
      assert.doesNotMatch(gateway.output(), /me:secret|bWU6c2VjcmV0/);
    });
  });

  test("a proxy that refuses is told apart from the provider", async () => {
    await withGateway("router_settings: { num_retries: 0 }", { HTTPS_PROXY: proxy.url }, async (gateway) => {
      const response = await gateway.request("/v1/chat/completions", { body });
      assert.equal(response.status, 500);
      assert.match(await response.text(), /the proxy on the way does not connect/);
    });
  });

  test("certificates are not checked where the file says so, which is a warning", async () => {
    const env = { HTTPS_PROXY: proxy.url.replace("//", "//me:secret@") };
    await withGateway("litellm_settings: { ssl_verify: false }", env, async (gateway) => {
      const response = await gateway.request("/v1/chat/completions", { body });
      assert.equal(response.status, 200, await response.clone().text());
      assert.match(gateway.output(), /SSL_VERIFY is false/);
      assert.doesNotMatch(gateway.output(), /ssl_verify is not built/);
    });
    await withGateway("litellm_settings: { ssl_verify: true }", env, async (gateway) => {
      const response = await gateway.request("/v1/chat/completions", { body });
      assert.equal(response.status, 500);
      assert.doesNotMatch(gateway.output(), /SSL_VERIFY is false/);
    });
    await withGateway(`litellm_settings: { ssl_verify: "${authorities}" }`, env, async (gateway) => {
      assert.equal((await gateway.request("/v1/chat/completions", { body })).status, 200);
    });
  });

  test("a file of authorities that is none stops the start with a sentence", async () => {
    for (const path of [join(dataDir, "missing.pem"), import.meta.filename]) {
      await assert.rejects(
        withGateway("", { SSL_CERT_FILE: path }, async () => undefined),
        /Sluice cannot start\.\n\nSSL_CERT_FILE must name a file of certificates in PEM\n/,
      );
    }
  });
});
