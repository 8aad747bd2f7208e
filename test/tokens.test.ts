import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { z } from "zod";
import { type IdentityProvider, startIdentityProvider } from "#chassis/testing/identity-provider.ts";
import { startTestNats, type TestNats } from "#chassis/testing/nats.ts";
import { startTestPostgres, type TestPostgres } from "#chassis/testing/postgres.ts";
import { type Gateway, startGateway } from "../services/mesh/gateway.ts";
import { eventually, toldMs } from "./harness/eventually.ts";
import {
  type GatewayProcess,
  makeDataDir,
  meshAvailable,
  removeDataDir,
  startGatewayProcess,
} from "./harness/gateway-process.ts";
import { spendRows } from "./harness/spend.ts";

const config = `
general_settings:
  enable_jwt_auth: true
  enable_oauth2_auth: true
  litellm_jwtauth:
    user_id_jwt_field: sub
    user_id_upsert: true
    team_ids_jwt_field: groups
    end_user_id_jwt_field: customer
`;
const hello = { model: "mock/echo", messages: [{ role: "user", content: "Hello!" }] };
const masterKey = "sk-master-of-the-tests";

/** Writes the configuration into a folder and returns the variables that both need. */
async function tokenEnvironment(dataDir: string, provider: IdentityProvider): Promise<Record<string, string>> {
  const path = join(dataDir, "config.yaml");
  await writeFile(path, config);
  return {
    CONFIG_FILE_PATH: path,
    JWT_ISSUER: provider.issuer,
    JWT_AUDIENCE: "urn:sluice",
    OAUTH_TOKEN_INFO_ENDPOINT: provider.introspectionUrl,
    OAUTH_CLIENT_ID: provider.clientId,
    OAUTH_CLIENT_SECRET: provider.clientSecret,
    OAUTH_USER_ID_FIELD_NAME: "client_id",
  };
}

describe("tokens of an OpenID provider, on one process", () => {
  let provider: IdentityProvider;
  let gateway: GatewayProcess;
  let dataDir: string;
  /** Every token that was used: none of them may be seen anywhere. */
  const used: string[] = [];
  before(async () => {
    [provider, dataDir] = await Promise.all([startIdentityProvider(), makeDataDir()]);
    const env = { ...(await tokenEnvironment(dataDir, provider)), SLUICE_LOG: "debug" };
    gateway = await startGatewayProcess({ entry: "services/main.ts", env, dataDir, masterKey });
  });
  after(async () => {
    await gateway?.stop();
    await provider?.stop();
    await removeDataDir(dataDir);
  });

  async function call(path: string, key: string, body?: unknown) {
    used.push(key);
    const response = await gateway.request(path, { key, ...(body === undefined ? {} : { body }) });
    return { status: response.status, text: await response.text() };
  }

  async function manage(path: string, body: object): Promise<void> {
    const { status, text } = await call(path, masterKey, body);
    assert.equal(status, 200, text);
  }

  test("every endpoint takes them, and what they use is their user's", async () => {
    const token = await provider.issue();
    const answers = [
      await call("/v1/chat/completions", token, hello),
      await call("/v1/chat/completions", token, { ...hello, stream: true }),
      await call("/v1/messages", token, { ...hello, max_tokens: 5 }),
      await call("/v1/embeddings", token, { model: "mock/embedding", input: "text" }),
    ];
    for (const { status, text } of answers) assert.equal(status, 200, text);
    assert.match((await call("/v1/models", token)).text, /mock\/echo/);
    const { key, info } = z
      .object({ key: z.string(), info: z.looseObject({ user_id: z.string(), spend: z.number() }) })
      .parse(JSON.parse((await call("/key/info", token)).text));
    assert.equal(info.user_id, "tests");
    const rows = await spendRows(gateway, key, answers.length);
    assert.deepEqual([...new Set(rows.map(({ user }) => user))], ["tests"]);
    const user = await call("/user/info?user_id=tests", masterKey);
    assert.match(user.text, /"sso_user_id":"tests"/);
  });

  test("admin paths go by role: an administrator's scope manages and calls no model", async () => {
    const admin = await provider.issue("urn:sluice", "litellm_proxy_admin");
    assert.equal((await call("/user/list", admin)).status, 200);
    assert.equal((await call("/team/new", admin, { team_id: "by-token" })).status, 200);
    assert.equal((await call("/v1/chat/completions", admin, hello)).status, 403);
    const plain = await provider.sign();
    assert.equal((await call("/budget/new", plain, {})).status, 403);
    assert.equal((await call("/v1/chat/completions", plain, hello)).status, 200);
    const made = await call("/key/generate", plain, {});
    assert.equal(made.status, 200, made.text);
  });

  test("of several teams the first that may use the model pays, or the one that is asked for", async () => {
    await manage("/team/new", { team_id: "narrow", models: ["gpt-4o"] });
    await manage("/team/new", { team_id: "wide", models: ["mock/echo"], model_aliases: { mine: "mock/echo" } });
    const token = await provider.sign({ sub: "member", groups: ["narrow", "wide"] });
    assert.equal((await call("/v1/chat/completions", token, hello)).status, 200);
    assert.equal((await call("/v1/chat/completions", token, { ...hello, model: "mine" })).status, 200);
    const refused = await call("/v1/chat/completions", token, { ...hello, model: "mock/other" });
    assert.match(refused.text, /team_model_access_denied/);
    assert.match((await call("/v1/models", token)).text, /mock\/echo/);
    assert.equal((await call("/v1/models/mock/echo", token)).status, 200);
    assert.equal((await call("/v1/models/mock/other", token)).status, 404);
    const { key } = z.looseObject({ key: z.string() }).parse(JSON.parse((await call("/key/info", token)).text));
    const rows = await spendRows(gateway, key, 2);
    assert.deepEqual(
      rows.map((row) => row.team_id),
      ["wide", "wide"],
    );
    const asked = (team: string) =>
      fetch(`${gateway.url}/v1/chat/completions`, {
        method: "POST",
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json", "x-litellm-team-id": team },
        body: JSON.stringify(hello),
      }).then(async (response) => [response.status, await response.text()] as const);
    const [narrow, said] = await asked("narrow");
    assert.equal(narrow, 401);
    assert.match(said, /team_model_access_denied/);
    assert.equal((await asked("another"))[0], 403);
  });

  test("limits and blocks of a user hold for its tokens", async () => {
    await manage("/user/new", { user_id: "limited", rpm_limit: 2, auto_create_key: false });
    const token = await provider.sign({ sub: "limited" });
    const statuses = [];
    for (let times = 0; times < 4; times += 1) statuses.push((await call("/v1/chat/completions", token, hello)).status);
    assert.deepEqual(statuses, [200, 200, 429, 429]);
    await manage("/user/update", { user_id: "limited", blocked: true });
    assert.equal((await call("/v1/chat/completions", token, hello)).status, 401);
  });

  test("an opaque token is asked about; a key stays a key", async () => {
    const token = await provider.issue("urn:opaque");
    assert.equal((await call("/v1/chat/completions", token, hello)).status, 200);
    assert.equal((await call("/v1/chat/completions", "made-up", hello)).status, 401);
    assert.equal((await call("/v1/chat/completions", "sk-made-up", hello)).status, 401);
    assert.equal((await call("/v1/chat/completions", masterKey, hello)).status, 200);
  });

  test("what is no good is refused with a reason; an issuer that is away is a 503", async () => {
    const now = Math.floor(Date.now() / 1000);
    const expired = await call("/v1/chat/completions", await provider.sign({ exp: now - 100 }), hello);
    assert.deepEqual([expired.status, /expired_key/.test(expired.text)], [401, true], expired.text);
    const other = await call("/v1/chat/completions", await provider.sign({ aud: "urn:other" }), hello);
    assert.match(other.text, /its claim aud is not accepted/);
    const [head = "", body = ""] = (await provider.sign()).split(".");
    for (const broken of [`${head}.${body}.`, `${head}.${body}.AAAA`, `${head}.${"A".repeat(17_000)}.AAAA`]) {
      assert.equal((await call("/v1/chat/completions", broken, hello)).status, 401);
    }
    provider.fault = "down";
    assert.equal((await call("/v1/chat/completions", "another-opaque-token", hello)).status, 503);
    // The keys are known: a JWT needs nobody.
    assert.equal((await call("/v1/chat/completions", await provider.sign({ jti: "2" }), hello)).status, 200);
    provider.fault = "none";
  });

  test("no token is in the log", () => {
    const output = gateway.output();
    assert.ok(output.length > 1_000);
    for (const token of used.filter((each) => each !== masterKey && each.length > 20)) {
      assert.ok(!output.includes(token.slice(-30)), "a token is in the log");
    }
  });
});

if (meshAvailable()) {
  describe("tokens of an OpenID provider, on two edges", () => {
    let provider: IdentityProvider;
    let nats: TestNats | undefined;
    let postgres: TestPostgres | undefined;
    const dirs: string[] = [];
    const gateways: Gateway[] = [];
    before(async () => {
      const folder = await makeDataDir();
      dirs.push(folder);
      [provider, nats, postgres] = await Promise.all([startIdentityProvider(), startTestNats(), startTestPostgres()]);
      const shared = {
        ...(await tokenEnvironment(folder, provider)),
        NATS_URL: nats?.url,
        DATABASE_URL: postgres?.url.reveal(),
        SLUICE_MESH_TOKEN: "mesh-token",
        SLUICE_MASTER_KEY: masterKey,
        SLUICE_LOG: "error",
        HOST: "127.0.0.1",
        PORT: "0",
      };
      const rpc = { SLUICE_RPC_HOST: "127.0.0.1", SLUICE_RPC_PORT: "0" };
      const control = await startGateway({ ...shared, ...rpc, SLUICE_SERVICES: "auth,accounting" });
      gateways.push(control);
      const url = `http://127.0.0.1:${control.rpcPort}`;
      for (let plane = 0; plane < 2; plane += 1) {
        const dataDir = await makeDataDir();
        dirs.push(dataDir);
        const own = { SLUICE_AUTH_URL: url, SLUICE_ACCOUNTING_URL: url, SLUICE_DATA_DIR: dataDir };
        gateways.push(await startGateway({ ...shared, ...own, SLUICE_SERVICES: "edge,router,provider-adapter" }));
      }
    });
    after(async () => {
      for (const gateway of gateways.toReversed()) await gateway.close();
      await Promise.all([provider?.stop(), nats?.stop(), postgres?.stop(), ...dirs.map(removeDataDir)]);
    });

    const post = async (edge: number, path: string, key: string, body: object) => {
      const response = await fetch(`http://127.0.0.1:${gateways[edge]?.port}${path}`, {
        method: "POST",
        headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
        body: JSON.stringify(body),
      });
      await response.text();
      return response.status;
    };

    test("a user that one edge blocks is refused by the other as soon as it is told", async () => {
      const token = await provider.sign({ sub: "blocked later" });
      const chat = (edge: number) => post(edge, "/v1/chat/completions", token, hello);
      assert.deepEqual([await chat(1), await chat(2)], [200, 200]);
      assert.equal(await post(1, "/user/update", masterKey, { user_id: "blocked later", blocked: true }), 200);
      for (const edge of [1, 2]) assert.equal(await eventually(401, toldMs, () => chat(edge)), 401);
    });

    test("both edges together ask the issuer for its keys once", async () => {
      const tokens = await Promise.all(
        Array.from({ length: 20 }, () => provider.sign({}, { kid: crypto.randomUUID() })),
      );
      const before = provider.asked.filter((path) => path === "/jwks").length;
      const statuses = await Promise.all(
        tokens.map((token, at) => post(1 + (at % 2), "/v1/chat/completions", token, hello)),
      );
      assert.deepEqual(new Set(statuses), new Set([401]));
      assert.ok(provider.asked.filter((path) => path === "/jwks").length - before <= 1);
    });
  });
}
