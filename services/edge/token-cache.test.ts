import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { gatewayError } from "#chassis/errors.ts";
import { PrincipalChangedSchema, PrincipalSchema } from "#gen/sluice/auth/v1/principal_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { CallerKind } from "#gen/sluice/inference/v1/inference_pb.ts";
import { Role } from "#gen/sluice/rest/v1/caller_pb.ts";
import { send } from "./testing/raw-http.ts";
import { type MeshScript, startTestEdge } from "./testing/scripted-mesh.ts";

const good = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl";

/** An edge that accepts JWTs, and what auth was asked. */
async function startTokenEdge(script: MeshScript = {}) {
  const tokens: string[] = [];
  const hashes: string[] = [];
  const state = { unavailable: false, blocked: false };
  const edge = await startTestEdge({
    authenticate: ({ keyHash }) => {
      hashes.push(keyHash);
      throw gatewayError(Reason.KEY_INVALID, "no such key");
    },
    authenticateToken: ({ token, teamId }) => {
      tokens.push(teamId === "" ? token : `${token} ${teamId}`);
      if (state.unavailable) throw gatewayError(Reason.UNAVAILABLE, "down");
      if (!token.startsWith(good))
        throw gatewayError(Reason.KEY_INVALID, "Invalid token: its signature is wrong.", { param: "token" });
      const principal = create(PrincipalSchema, {
        kind: CallerKind.VIRTUAL_KEY,
        keyId: "a".repeat(64),
        userId: token === good ? "ann" : "eve",
        teamId,
        blocked: state.blocked,
        roles: [Role.KEY],
        endUser: "customer",
        scopes: [{ scope: "user:ann" }],
        alternatives: [{ kind: CallerKind.VIRTUAL_KEY, teamId: "second", scopes: [{ scope: "team:second" }] }],
      });
      return { principal };
    },
    ...script,
    config: { tokens: { signed: true, opaque: false }, failedAuthPerMinute: 0, ...script.config },
  });
  const chat = (token: string, headers: Record<string, string> = {}) =>
    send(`${edge.url}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json", ...headers },
      body: JSON.stringify({ model: "gpt-4o", messages: [], user: "said" }),
    });
  return { edge, tokens, hashes, state, chat };
}

test("a token is asked for once, and its caller travels with its other teams and its customer", async () => {
  const { edge, tokens, hashes, chat } = await startTokenEdge();
  for (let times = 0; times < 5; times += 1) assert.equal((await chat(good)).status, 200);
  assert.deepEqual([tokens, hashes], [[good], []]);
  const caller = edge.inferred[0]?.caller;
  assert.deepEqual([caller?.userId, caller?.endUser, caller?.alternatives[0]?.teamId], ["ann", "customer", "second"]);
  assert.equal((await chat(good, { "x-litellm-team-id": "t2" })).status, 200);
  // Two that begin alike are two.
  assert.equal((await chat(`${good}x`)).status, 200);
  assert.equal(edge.inferred.at(-1)?.caller?.userId, "eve");
  assert.deepEqual(tokens.slice(1), [`${good} t2`, `${good}x`]);
  await edge.stop();
});

test("keys go their own way, and where no tokens are accepted a token is a key that nobody knows", async () => {
  const { edge, tokens, hashes, chat } = await startTokenEdge();
  for (const key of ["sk-a.b.c", "opaque", "a.b", "a.b.c.d", "a..c", "ä.b.c"])
    assert.equal((await chat(key)).status, 401, key);
  assert.deepEqual([tokens.length, hashes.length], [0, 6]);
  await edge.stop();
  const off = await startTokenEdge({ config: { tokens: { signed: false, opaque: false } } });
  const answer = await off.chat(good);
  assert.match(answer.text, /token_not_found_in_db/);
  assert.deepEqual([answer.status, off.tokens.length, off.hashes.length], [401, 0, 1]);
  await off.edge.stop();
  const opaque = await startTokenEdge({ config: { tokens: { signed: false, opaque: true } } });
  assert.equal((await opaque.chat("opaque")).status, 401);
  assert.equal((await opaque.chat("sk-key")).status, 401);
  assert.deepEqual([opaque.tokens, opaque.hashes.length], [["opaque"], 1]);
  await opaque.edge.stop();
});

test("a change of its user or of another team of it is seen at once", async () => {
  const { edge, tokens, state, chat } = await startTokenEdge();
  for (const scope of ["user:ann", "team:second"]) {
    state.blocked = false;
    edge.events.publish(PrincipalChangedSchema, create(PrincipalChangedSchema, { scopes: [scope] }));
    assert.equal((await chat(good)).status, 200);
    state.blocked = true;
    assert.equal((await chat(good)).status, 200);
    edge.events.publish(PrincipalChangedSchema, create(PrincipalChangedSchema, { scopes: [scope] }));
    assert.equal((await chat(good)).status, 401, scope);
  }
  assert.equal(tokens.length, 4);
  await edge.stop();
});

test("a token ends at its moment, also in memory", async () => {
  let now = 1_000;
  const expiresAt = timestampFromMs(5_000);
  const { edge, chat } = await startTokenEdge({
    now: () => now,
    authenticateToken: () => ({
      principal: { kind: CallerKind.VIRTUAL_KEY, keyId: "a", roles: [Role.KEY], expiresAt },
    }),
  });
  assert.equal((await chat(good)).status, 200);
  now = 5_000;
  assert.match((await chat(good)).text, /expired_key/);
  await edge.stop();
});

test("nobody who can tell is a 503; a refusal is said in its own words; no token is in any of it", async () => {
  const { edge, tokens, state, chat } = await startTokenEdge();
  const secret = "eyJhbGciOiJSUzI1NiJ9.VERYSECRET.c2ln";
  const refused = await chat(secret);
  assert.match(refused.text, /its signature is wrong/);
  assert.equal(refused.status, 401);
  // What was refused is known for a while.
  await chat(secret);
  assert.equal(tokens.length, 1);
  state.unavailable = true;
  const unavailable = await chat(`${secret}2`);
  assert.equal(unavailable.status, 503);
  const all = [refused.text, unavailable.text, ...edge.logged].join("\n");
  assert.ok(edge.logged.length > 0 && !all.includes("VERYSECRET"));
  await edge.stop();
});
