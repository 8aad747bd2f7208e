import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import { ConnectError } from "@connectrpc/connect";
import { findGatewayError } from "#chassis/errors.ts";
import { startTestDatabases } from "#chassis/testing/databases.ts";
import { startIdentityProvider } from "#chassis/testing/identity-provider.ts";
import { parseYaml } from "#chassis/yaml-file.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { Role } from "#gen/sluice/rest/v1/caller_pb.ts";
import { setUp } from "../testing/auth-fixture.ts";
import { storeTeam } from "../testing/stored-rows.ts";
import { readTokenSettings } from "./config-file.ts";

const databases = await startTestDatabases();
after(() => databases.stop());
const [{ url }] = databases.all as [(typeof databases.all)[number]];

async function setUpIntrospection(env: Record<string, string>) {
  const document = parseYaml("general_settings: { enable_oauth2_auth: true }", "config.yaml", {});
  const setup = await setUp(url, true, true, { tokens: readTokenSettings(document, env).tokens });
  setup.clock.now = Date.now();
  const reasonOf = (token: string) =>
    setup.auth.authenticateToken({ token }).then(
      () => undefined,
      (error: unknown) => findGatewayError(ConnectError.from(error))?.reason,
    );
  return { ...setup, reasonOf };
}

test("an opaque token is what its server says, until the server says otherwise", async () => {
  const provider = await startIdentityProvider();
  const { auth, clock, reasonOf, close } = await setUpIntrospection({
    OAUTH_TOKEN_INFO_ENDPOINT: provider.introspectionUrl,
    OAUTH_CLIENT_ID: provider.clientId,
    OAUTH_CLIENT_SECRET: provider.clientSecret,
    OAUTH_USER_ID_FIELD_NAME: "client_id",
  });
  const questions = () => provider.asked.filter((path) => path === "/token/introspection").length;
  const token = await provider.issue("urn:opaque");
  assert.ok(!token.includes("."));
  const { principal } = await auth.authenticateToken({ token });
  assert.equal(principal?.userId, "tests");
  assert.deepEqual(principal?.roles, [Role.KEY]);
  assert.ok(principal.expiresAt);
  assert.equal(await reasonOf(token), undefined);
  assert.equal(questions(), 1);

  assert.equal(await reasonOf("made-up"), Reason.KEY_INVALID);
  // What begins like a token that is good is not that token.
  assert.equal(await reasonOf(`${token}x`), Reason.KEY_INVALID);
  await provider.revoke(token);
  clock.now += 45_000;
  assert.equal(await reasonOf(token), Reason.KEY_INVALID);

  const other = await provider.issue("urn:opaque");
  for (const fault of ["down", "slow", "huge", "broken"] as const) {
    provider.fault = fault;
    assert.equal(await reasonOf(other), Reason.UNAVAILABLE, fault);
  }
  provider.fault = "none";
  assert.equal(await reasonOf(other), undefined);
  await close();
  await provider.stop();
});

test("a server that refuses the gateway's own client is out of order: the token may be good", async () => {
  const provider = await startIdentityProvider();
  const { reasonOf, close } = await setUpIntrospection({
    OAUTH_TOKEN_INFO_ENDPOINT: provider.introspectionUrl,
    OAUTH_CLIENT_ID: provider.clientId,
    OAUTH_CLIENT_SECRET: "wrong",
  });
  assert.equal(await reasonOf(await provider.issue("urn:opaque")), Reason.UNAVAILABLE);
  await close();
  await provider.stop();
});

test("an opaque token is shown to the provider's user info, whose claims mean what a JWT's do", async () => {
  const server = createServer((request, response) => {
    const known = request.headers.authorization === "Bearer opaque";
    response.writeHead(known ? 200 : 401).end(JSON.stringify(known ? { sub: "ann", groups: ["t1"] } : {}));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/userinfo`;
  const document = parseYaml(
    `general_settings:
  enable_jwt_auth: true
  litellm_jwtauth:
    oidc_userinfo_enabled: true
    oidc_userinfo_endpoint: ${address}
    user_id_jwt_field: sub
    user_id_upsert: true
    team_ids_jwt_field: groups`,
    "config.yaml",
    {},
  );
  const setup = await setUp(url, true, true, { tokens: readTokenSettings(document, {}).tokens });
  setup.clock.now = Date.now();
  await storeTeam(setup.database, "t1", {});
  const { principal } = await setup.auth.authenticateToken({ token: "opaque" });
  assert.deepEqual([principal?.userId, principal?.teamId, principal?.expiresAt], ["ann", "t1", undefined]);
  await assert.rejects(setup.auth.authenticateToken({ token: "other" }), /does not know it/);
  await assert.rejects(setup.auth.authenticateToken({ token: "a.b.c" }), /does not know it/);
  await setup.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

test("without a client the token itself is the bearer of the question", async () => {
  const answers = new Map<string, [status: number, body: object]>([
    ["Bearer admin", [200, { uid: "a", role: "proxy_admin" }]],
    ["Bearer worker", [200, { active: true, uid: 7, role: "internal_user", team: "t1" }]],
    ["Bearer over", [200, { uid: "a", exp: 5 }]],
    ["Bearer inactive", [200, { active: false, uid: "a" }]],
    ["Bearer nobody", [200, { active: true }]],
    ["Bearer empty", [200, {}]],
    ["Bearer fails", [500, {}]],
  ]);
  const server = createServer((request, response) => {
    const [status, body] = answers.get(request.headers.authorization ?? "") ?? [401, {}];
    response.writeHead(status).end(JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { auth, database, reasonOf, close } = await setUpIntrospection({
    OAUTH_TOKEN_INFO_ENDPOINT: `http://127.0.0.1:${(server.address() as AddressInfo).port}/info`,
    OAUTH_USER_ID_FIELD_NAME: "uid",
    OAUTH_USER_TEAM_ID_FIELD_NAME: "team",
  });
  await storeTeam(database, "t1", { limits: { rpmLimit: 3n } });
  const admin = await auth.authenticateToken({ token: "admin" });
  assert.ok(admin.principal?.roles.includes(Role.PROXY_ADMIN));
  const { principal: worker } = await auth.authenticateToken({ token: "worker" });
  assert.deepEqual([worker?.userId, worker?.teamId, worker?.roles], ["7", "t1", [Role.KEY, Role.INTERNAL_USER]]);
  assert.equal(worker?.scopes.find(({ scope }) => scope === "team:t1")?.rpmLimit, 3);
  const refused: [token: string, reason: Reason][] = [
    ["over", Reason.KEY_INVALID],
    ["inactive", Reason.KEY_INVALID],
    ["unknown", Reason.KEY_INVALID],
    ["empty", Reason.KEY_INVALID],
    ["nobody", Reason.PERMISSION_DENIED],
    ["fails", Reason.UNAVAILABLE],
  ];
  for (const [token, reason] of refused) assert.equal(await reasonOf(token), reason, token);
  await close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});
