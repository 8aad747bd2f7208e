import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { gatewayError } from "#chassis/errors.ts";
import { DescribeScopeResponseSchema } from "#gen/sluice/auth/v1/auth_service_pb.ts";
import { PrincipalChangedSchema, PrincipalSchema } from "#gen/sluice/auth/v1/principal_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { CallerKind } from "#gen/sluice/inference/v1/inference_pb.ts";
import { Role } from "#gen/sluice/rest/v1/caller_pb.ts";
import { post, send } from "./testing/raw-http.ts";
import { startTestEdge } from "./testing/scripted-mesh.ts";

const key = { authorization: "Bearer sk-virtual" };
const hello = { model: "gpt-4o", messages: [{ role: "user", content: "hello" }] };

const principal = create(PrincipalSchema, {
  kind: CallerKind.VIRTUAL_KEY,
  keyId: "a".repeat(64),
  roles: [Role.KEY],
  aliases: { fast: "gpt-4o-mini" },
  tags: ["of the key"],
  scopes: [{ scope: "key:a" }, { scope: "key:a|model:gpt-4o", model: "gpt-4o" }, { scope: "team:t" }],
  rights: [{ level: "team", models: ["gpt-*"] }],
});

test("a call goes under the model that its name stands for, with the scopes of that model and everybody's rights", async () => {
  const edge = await startTestEdge({ authenticate: () => ({ principal }) });
  await post(`${edge.url}/v1/chat/completions`, hello, key);
  await post(`${edge.url}/v1/chat/completions`, { ...hello, model: "fast" }, key);
  await post(`${edge.url}/v1/chat/completions`, { ...hello, model: "toString", metadata: { tags: ["x"] } }, key);
  const seen = edge.inferred.map(({ model, caller }) => [model, caller?.scopes.map(({ scope }) => scope).join()]);
  assert.deepEqual(seen, [
    ["gpt-4o", "key:a,key:a|model:gpt-4o,team:t"],
    ["gpt-4o-mini", "key:a,team:t"],
    ["toString", "key:a,team:t"],
  ]);
  assert.deepEqual(edge.inferred[0]?.caller?.rights[0]?.models, ["gpt-*"]);
  assert.deepEqual(edge.inferred[0]?.caller?.tags, ["of the key"]);
  await edge.stop();
});

test("a key that is narrowed to some routes gets 403 for the others", async () => {
  const cases: [allowed: string[], path: string, status: number][] = [
    [["/v1/models"], "/v1/models", 200],
    [["/v1/models"], "/models", 403],
    [["/v1/*"], "/v1/models", 200],
    [["info_routes"], "/v1/models", 200],
    [["management_routes"], "/v1/models", 403],
    [["llm_api_routes"], "/models", 200],
    [["/v1/models/{id}"], "/v1/models/gpt-4o", 200],
  ];
  for (const [allowedRoutes, path, status] of cases) {
    const edge = await startTestEdge({ authenticate: () => ({ principal: { ...principal, allowedRoutes } }) });
    const answer = await send(`${edge.url}${path}`, { headers: key });
    assert.equal(answer.status, status, `${allowedRoutes} ${path} ${answer.text}`);
    await edge.stop();
  }
});

test("what holds for a customer and a tag is asked once, and asked anew when it changed", async () => {
  const asked: string[] = [];
  const blocked = new Set<string>();
  const edge = await startTestEdge({
    authenticate: () => ({ principal }),
    describeScope({ scope }) {
      asked.push(scope);
      if (scope === "customer:away") throw gatewayError(Reason.UNAVAILABLE, "down");
      if (scope === "tag:unknown") return {};
      return create(DescribeScopeResponseSchema, {
        scopes: [{ scope }],
        models: scope === "tag:t" ? ["gpt-4o"] : [],
        blocked: blocked.has(scope),
      });
    },
  });
  const call = (body: object) => post(`${edge.url}/v1/chat/completions`, { ...hello, ...body }, key);
  for (let n = 0; n < 3; n += 1) assert.equal((await call({ user: "anna", tags: ["t", "unknown"] })).status, 200);
  assert.deepEqual(asked.toSorted(), ["customer:anna", "tag:of the key", "tag:t", "tag:unknown"]);
  const caller = edge.inferred.at(-1)?.caller;
  assert.deepEqual(caller?.scopes.map(({ scope }) => scope).slice(3), ["customer:anna", "tag:of the key", "tag:t"]);
  assert.deepEqual(caller?.rights.at(-1), { ...caller?.rights.at(-1), level: "tag", models: ["gpt-4o"] });
  assert.deepEqual(principal.scopes.length, 3);

  blocked.add("customer:anna");
  edge.events.publish(PrincipalChangedSchema, create(PrincipalChangedSchema, { scopes: ["customer:anna"] }));
  const refused = await call({ user: "anna" });
  assert.equal(refused.status, 403);
  assert.equal(JSON.parse(refused.text).error.param, "user");
  assert.equal((await call({ user: "away" })).status, 503);
  await edge.stop();
});

test("an address that tries many keys is answered without asking auth, and known keys work from there", async () => {
  const asked: string[] = [];
  const edge = await startTestEdge({
    config: { failedAuthPerMinute: 5, trustForwardedFor: true },
    authenticate({ keyHash }) {
      asked.push(keyHash);
      if (asked.length > 1) throw gatewayError(Reason.KEY_INVALID, "no such key");
      return { principal };
    },
  });
  const models = (name: string, from: string) =>
    send(`${edge.url}/v1/models`, { headers: { authorization: `Bearer sk-${name}`, "x-forwarded-for": from } });
  assert.equal((await models("good", "10.0.0.1")).status, 200);
  const statuses = [];
  for (let n = 0; n < 8; n += 1) statuses.push((await models(`guess-${n}`, "10.0.0.1")).status);
  assert.deepEqual(statuses, [401, 401, 401, 401, 401, 429, 429, 429]);
  assert.equal(asked.length, 6);
  const limited = await models("guess-9", "10.0.0.1");
  assert.ok(Number(limited.headers["retry-after"]) > 50);
  assert.equal((await models("good", "10.0.0.1")).status, 200);
  assert.equal((await models("guess-10", "10.0.0.2")).status, 401);
  await edge.stop();
});
