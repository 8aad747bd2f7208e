import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type GatewayProcess, makeDataDir, removeDataDir, startGatewayProcess } from "./harness/gateway-process.ts";

/** LiteLLM's documented answers, over REST and the whole gateway. */
let gateway: GatewayProcess;
let dataDir: string;
before(async () => {
  dataDir = await makeDataDir();
  gateway = await startGatewayProcess({ entry: "services/main.ts", dataDir });
});
after(async () => {
  await gateway?.stop();
  await removeDataDir(dataDir);
});

type Json = Record<string, unknown>;

/** The status and body of a call, by the master key or another. */
async function call(
  methodAndPath: string,
  body?: Json,
  key = gateway.masterKey,
): Promise<{ status: number; body: Json }> {
  const [method = "GET", path = ""] = methodAndPath.split(" ");
  const response = await fetch(`${gateway.url}${path}`, {
    method,
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, body: text === "" ? {} : JSON.parse(text) };
}

async function ok(methodAndPath: string, body?: Json, key?: string): Promise<Json> {
  const answer = await call(methodAndPath, body, key);
  assert.ok(answer.status < 300, `${methodAndPath}: ${answer.status} ${JSON.stringify(answer.body)}`);
  return answer.body;
}

/** The rows of a list. */
function rows(list: unknown): Json[] {
  assert.ok(Array.isArray(list));
  return list;
}

/** The members of an answer, as far as `expected` names them. */
function has(actual: unknown, expected: Json): void {
  assert.ok(typeof actual === "object" && actual !== null, JSON.stringify(actual));
  const members = actual as Json;
  assert.deepEqual(Object.fromEntries(Object.keys(expected).map((name) => [name, members[name]])), expected);
}

async function error(methodAndPath: string, body: Json | undefined, key?: string): Promise<unknown[]> {
  const { status, body: answer } = await call(methodAndPath, body, key);
  const { type, param } = answer.error as Json;
  return [status, type, param];
}

const nothingSet = {
  tpm_limit: null,
  rpm_limit: null,
  soft_budget: null,
  max_parallel_requests: null,
  budget_reset_at: null,
  model_max_budget: {},
  budget_limits: [],
};

test("a team row has LiteLLM's members", async () => {
  const made = await ok("POST /team/new", {
    team_id: "t1",
    team_alias: "One",
    models: ["gpt-4o"],
    max_budget: 10.5,
    budget_duration: "30d",
    metadata: { a: 1 },
    members_with_roles: [{ user_id: "u1", role: "admin" }, { user_email: "u2@example.org" }],
    team_member_budget: 2,
    router_settings: null,
    unknown_member: 1,
  });
  const members = rows(made.members_with_roles).toSorted((a, b) => (String(a.role) < String(b.role) ? -1 : 1));
  has(members[0], { user_id: "u1", user_email: null, role: "admin" });
  has(members[1], { user_email: "u2@example.org", role: "user" });
  has(made, {
    ...nothingSet,
    team_id: "t1",
    team_alias: "One",
    organization_id: null,
    admins: ["u1"],
    models: ["gpt-4o"],
    max_budget: 10.5,
    budget_duration: "30d",
    metadata: { a: 1 },
    blocked: false,
    spend: 0,
    team_member_permissions: [],
    access_group_ids: [],
    default_team_member_models: [],
  });
  for (const name of ["created_at", "updated_at"]) assert.ok(Date.parse(String(made[name])) > 0);
  const updated = await ok("POST /team/update", { team_id: "t1", max_budget: null, tpm_limit: 700000 });
  has(updated, { team_id: "t1" });
  has(updated.data, { max_budget: null, tpm_limit: 700000, team_alias: "One", budget_duration: "30d" });
  assert.deepEqual(await error("POST /team/new", { team_id: "t1" }), [409, "bad_request_error", "team_id"]);
  assert.deepEqual(await error("POST /team/new", { guardrails: ["x"] }), [400, "invalid_request_error", "guardrails"]);
  assert.deepEqual(await error("GET /team/info?team_id=none", undefined), [404, "not_found_error", "team_id"]);
});

test("a new user's teams are ids, or ids with what holds there", async () => {
  await ok("POST /team/new", { team_id: "t3" });
  const made = await ok("POST /user/new", {
    user_id: "placed",
    teams: ["t1", { team_id: "t3", max_budget_in_team: 0.25, user_role: "admin" }],
  });
  assert.deepEqual(new Set(rows(made.teams)), new Set(["t1", "t3"]));
  const info = await ok("GET /team/info?team_id=t3", undefined);
  const [place] = rows(info.team_memberships);
  has(place, { user_id: "placed", team_id: "t3" });
  has(place?.litellm_budget_table, { max_budget: 0.25 });
  for (const teams of [[5], [["t1"]], "t1", [{ team_id: "t1", user_role: "king" }], [""]]) {
    assert.equal((await error("POST /user/new", { teams }))[0], 400, JSON.stringify(teams));
  }
  await ok("POST /user/delete", { user_ids: ["placed"] });
  await ok("POST /team/delete", { team_ids: ["t3"] });
  const [deleted] = rows((await ok("GET /v2/team/list?status=deleted&team_id=t3", undefined)).teams);
  has(deleted, { team_id: "t3", admins: [], spend: 0 });
  assert.ok(Date.parse(String(deleted?.deleted_at)) > 0);
});

test("members, keys and spends of a team", async () => {
  const joined = await ok("POST /team/member_add", {
    team_id: "t1",
    member: { user_id: "u3", role: "user" },
    max_budget_in_team: 0.5,
  });
  has(joined, { team_id: "t1", team_alias: "One" });
  const [user] = rows(joined.updated_users);
  has(user, { user_id: "u3", teams: ["t1"], user_role: "internal_user" });
  const [membership] = rows(joined.updated_team_memberships);
  has(membership, { user_id: "u3", team_id: "t1", budget_id: null, spend: 0 });
  has(membership?.litellm_budget_table, { max_budget: 0.5 });
  const again = { team_id: "t1", member: { user_id: "u3", role: "user" } };
  assert.deepEqual(await error("POST /team/member_add", again), [400, "team_member_already_in_team", "user_id"]);
  const changed = await ok("POST /team/member_update", {
    team_id: "t1",
    user_id: "u3",
    max_budget_in_team: 0.7,
    rpm_limit: 3,
  });
  has(changed, {
    user_id: "u3",
    user_email: null,
    team_id: "t1",
    max_budget_in_team: 0.7,
    tpm_limit: null,
    rpm_limit: 3,
  });

  const { key } = await ok("POST /key/generate", { team_id: "t1", user_id: "u3" });
  const info = await ok("GET /team/info?team_id=t1", undefined, String(key));
  assert.deepEqual(Object.keys(info), ["team_id", "team_info", "keys", "team_memberships"]);
  has(info.team_info, { team_id: "t1", tpm_limit: 700000 });
  has((info.team_info as Json).team_member_budget_table, { max_budget: 2 });
  assert.equal(rows(info.keys).length, 1);
  const listed = rows(await ok("GET /team/list?user_id=u3", undefined));
  has(listed[0], { team_id: "t1", blocked: false });
  assert.deepEqual([rows(listed[0]?.team_memberships).length, rows(listed[0]?.keys).length], [1, 1]);
  has(await ok("GET /v2/team/list?search=ONE&page_size=1", undefined, String(key)), {
    total: 1,
    page: 1,
    page_size: 1,
    total_pages: 1,
  });
  assert.deepEqual(await error("POST /team/block", { team_id: "t1" }, String(key)), [403, "auth_error", null]);

  has(await ok("POST /team/block", { team_id: "t1" }), { blocked: true });
  const model = { model: "mock/echo", messages: [{ role: "user", content: "hi" }] };
  assert.equal((await call("POST /v1/chat/completions", model, String(key))).status, 401);
  has(await ok("POST /team/unblock", { team_id: "t1" }), { blocked: false });
  has(await ok("POST /team/model/add", { team_id: "t1", models: ["mock/*"] }), { models: ["gpt-4o", "mock/*"] });
  await ok("POST /v1/chat/completions", model, String(key));
  has(await ok("POST /team/model/delete", { team_id: "t1", models: ["mock/*"] }), { models: ["gpt-4o"] });
  assert.deepEqual((await error("POST /v1/chat/completions", model, String(key))).slice(0, 2), [
    401,
    "team_model_access_denied",
  ]);

  const permissions = await ok("POST /team/permissions_update", {
    team_id: "t1",
    team_member_permissions: ["/key/info"],
  });
  has(permissions, { team_member_permissions: ["/key/info"] });
  has(await ok("GET /team/permissions_list?team_id=t1"), { team_id: "t1", team_member_permissions: ["/key/info"] });
  const bulk = await ok("POST /team/bulk_member_add", {
    team_id: "t1",
    members: [{ user_id: "u3" }, { user_id: "u4", role: "user" }],
  });
  has(bulk, { team_id: "t1", total_requested: 2, successful_additions: 1, failed_additions: 1 });
  has(rows(bulk.results)[1], { user_id: "u4", user_email: null, success: true, error: null });
  assert.deepEqual(await ok("GET /team/available"), []);
  has(await ok("POST /team/member_delete", { team_id: "t1", user_id: "u3" }), { team_id: "t1" });
  assert.equal((await call("GET /team/info?team_id=t1", undefined, String(key))).status, 401);
  assert.deepEqual(await ok("POST /team/delete", { team_ids: ["t1"] }), { deleted_teams: ["t1"] });
});

test("organizations and projects have LiteLLM's rows", async () => {
  const made = await ok("POST /organization/new", {
    organization_id: "o1",
    organization_alias: "Org",
    max_budget: 20,
    models: ["gpt-4o"],
    model_rpm_limit: { "gpt-4o": 5 },
  });
  has(made, {
    organization_id: "o1",
    organization_alias: "Org",
    spend: 0,
    models: ["gpt-4o"],
    metadata: {},
    members: [],
    teams: [],
  });
  has(made.litellm_budget_table, { max_budget: 20, budget_duration: null });
  has(await ok("PATCH /organization/update", { organization_id: "o1", max_budget: 30 }), {
    organization_alias: "Org",
    max_budget: 30,
  });
  const joined = await ok("POST /organization/member_add", {
    organization_id: "o1",
    member: [{ user_id: "chief", role: "org_admin" }],
    max_budget_in_organization: 3,
  });
  has(joined, { organization_id: "o1" });
  has(rows(joined.updated_organization_memberships)[0], {
    user_id: "chief",
    organization_id: "o1",
    user_role: "org_admin",
    spend: 0,
    budget_id: null,
    user_email: null,
  });
  has(rows(joined.updated_users)[0], { user_id: "chief" });

  const { key } = await ok("POST /key/generate", { user_id: "chief" });
  await ok("POST /team/new", { team_id: "ot", organization_id: "o1", models: ["gpt-4o"] }, String(key));
  assert.deepEqual(await error("POST /team/new", { organization_id: "o1", max_budget: 31 }, String(key)), [
    400,
    "invalid_request_error",
    "max_budget",
  ]);
  assert.equal((await call("POST /organization/new", { organization_alias: "x" }, String(key))).status, 403);
  const project = await ok(
    "POST /project/new",
    { project_id: "p1", project_alias: "P", team_id: "ot", max_budget: 1.5 },
    String(key),
  );
  has(project, {
    project_id: "p1",
    project_alias: "P",
    team_id: "ot",
    description: null,
    blocked: false,
    spend: 0,
    models: [],
    metadata: {},
    budget_id: null,
  });
  has(project.litellm_budget_table, { max_budget: 1.5 });
  has(await ok("POST /project/update", { project_id: "p1", description: "new" }), {
    description: "new",
    max_budget: 1.5,
  });
  has(await ok("GET /project/info?project_id=p1"), { project_id: "p1" });
  assert.equal(rows(await ok("GET /project/list", undefined, String(key))).length, 1);
  const deleted = rows(await ok("DELETE /project/delete", { project_ids: ["p1"] }));
  has(deleted[0], { project_id: "p1" });

  const info = await ok("GET /organization/info?organization_id=o1", undefined, String(key));
  assert.deepEqual([rows(info.members).length, rows(info.teams).length], [1, 1]);
  const role = { organization_id: "o1", user_id: "chief", role: "internal_user" };
  has(await ok("PATCH /organization/member_update", role), { user_role: "internal_user" });
  assert.equal((await call("POST /team/new", { organization_id: "o1" }, String(key))).status, 403);
  has(await ok("DELETE /organization/member_delete", { organization_id: "o1", user_id: "chief" }), {
    user_id: "chief",
  });
  assert.equal(rows(await ok("GET /organization/list")).length, 1);
  const gone = rows(await ok("DELETE /organization/delete", { organization_ids: ["o1"] }));
  has(gone[0], { organization_id: "o1" });
  assert.deepEqual(await error("GET /team/info?team_id=ot", undefined), [404, "not_found_error", "team_id"]);
});

test("access groups answer under both names", async () => {
  await ok("POST /team/new", { team_id: "gt", models: ["gpt-4o"] });
  const made = await call("POST /v1/access_group", {
    access_group_name: "frontier",
    access_model_names: ["mock/echo"],
    assigned_team_ids: ["gt"],
  });
  assert.equal(made.status, 201);
  has(made.body, {
    access_group_name: "frontier",
    description: null,
    access_model_names: ["mock/echo"],
    access_mcp_server_ids: [],
    access_agent_ids: [],
    assigned_team_ids: ["gt"],
    assigned_key_ids: [],
  });
  const id = String(made.body.access_group_id);
  has((await ok("GET /team/info?team_id=gt")).team_info, { access_group_ids: [id] });
  const { key } = await ok("POST /key/generate", { team_id: "gt" });
  const chat = { model: "mock/echo", messages: [{ role: "user", content: "hi" }] };
  await ok("POST /v1/chat/completions", chat, String(key));
  const update = { description: "d", assigned_team_ids: [] };
  has(await ok(`PUT /v1/unified_access_group/${id}`, update), {
    description: "d",
    assigned_team_ids: [],
    access_group_name: "frontier",
  });
  assert.equal((await call("POST /v1/chat/completions", chat, String(key))).status, 401);
  assert.equal(rows(await ok("GET /v1/unified_access_group")).length, 1);
  has(await ok(`GET /v1/access_group/${id}`), { access_group_id: id });
  assert.equal((await call(`DELETE /v1/access_group/${id}`)).status, 204);
  assert.equal((await call(`GET /v1/access_group/${id}`)).status, 404);
  const unbuilt = { access_group_name: "x", access_agent_ids: ["a"] };
  assert.deepEqual(await error("POST /v1/access_group", unbuilt), [400, "invalid_request_error", "access_agent_ids"]);
});

test("what shows a spend is made and changed with the embedded database too", async () => {
  for (const [path, body] of [
    ["/user/new", { user_id: "embedded" }],
    ["/customer/new", { user_id: "embedded" }],
    ["/customer/update", { user_id: "embedded", max_budget: 1 }],
    ["/customer/block", { user_ids: ["embedded"] }],
    ["/tag/new", { name: "embedded" }],
    ["/tag/update", { name: "embedded", max_budget: 1 }],
  ] as const) {
    await ok(`POST ${path}`, body);
  }
});
