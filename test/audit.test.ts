import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { getOption } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel as Idempotency } from "@bufbuild/protobuf/wkt";
import { type Database, openDatabase } from "#chassis/database/database.ts";
import { runningEmbeddedPostgres, startEmbeddedPostgres } from "#chassis/database/embedded.ts";
import { createLogger } from "#chassis/log.ts";
import { type FakeUpstream, startFakeUpstream } from "#chassis/testing/fake-upstream.ts";
import { http as httpOption } from "#gen/sluice/rest/v1/rest_pb.ts";
import { adminServices } from "../services/mesh/admin-services.ts";
import { type GatewayProcess, makeDataDir, removeDataDir, startGatewayProcess } from "./harness/gateway-process.ts";
import { helloAnswer } from "./harness/provider-answers.ts";

/** Every change that an administrator can make, through the whole gateway, and what the audit says of it. */
type Json = Record<string, unknown>;

interface AuditLog {
  readonly id: string;
  readonly updated_at: string;
  readonly changed_by: string;
  readonly changed_by_api_key: string;
  readonly action: string;
  readonly table_name: string;
  readonly object_id: string;
  readonly before_value: Json | null;
  readonly updated_values: Json | null;
  readonly operation: string;
  readonly address: string;
  readonly master: boolean;
}

const planted = "canary-0a1b2c3d4e5f";
const silent = createLogger("error", () => undefined);
let gateway: GatewayProcess;
let upstream: FakeUpstream;
let dataDir: string;
before(async () => {
  dataDir = await makeDataDir();
  upstream = await startFakeUpstream(() => helloAnswer("openai", false));
  const config = join(dataDir, "config.yaml");
  await writeFile(config, "model_list:\n  - { model_name: of-file, litellm_params: { model: mock/echo } }\n");
  gateway = await startGatewayProcess({ entry: "services/main.ts", dataDir, env: { CONFIG_FILE_PATH: config } });
});
after(async () => {
  await gateway?.stop();
  await upstream?.close();
  await removeDataDir(dataDir);
});

async function call(methodAndPath: string, body?: Json, key = gateway.masterKey): Promise<[number, Json]> {
  const [method = "GET", path = ""] = methodAndPath.split(" ");
  const response = await fetch(`${gateway.url}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${key}`,
      "content-type": "application/json",
      ...(method === "GET" ? {} : { "litellm-changed-by": "somebody" }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return [response.status, text === "" ? {} : JSON.parse(text)];
}

async function ok(methodAndPath: string, body?: Json, key?: string): Promise<Json> {
  const [status, answer] = await call(methodAndPath, body, key);
  assert.ok(status < 300, `${methodAndPath}: ${status} ${JSON.stringify(answer)}`);
  return answer;
}

async function audit(query: string): Promise<{ logs: AuditLog[]; total: number; pages: number }> {
  const answer = await ok(`GET /audit?${query}`);
  return { logs: answer.audit_logs as AuditLog[], total: Number(answer.total), pages: Number(answer.total_pages) };
}

/** Path as it is declared, what to send, and the entries to expect, as `table action`. */
type Step = readonly [declared: string, body: Json | undefined, expected: readonly string[], path?: string];

const known: Record<string, string> = {};
const secrets = {
  metadata: {
    logging: [{ callback_name: "langfuse", callback_vars: { langfuse_secret_key: planted, langfuse_host: planted } }],
    api_token: planted,
    team: "harmless",
  },
};
const key = "LiteLLM_VerificationToken";
const user = "LiteLLM_UserTable";
const team = "LiteLLM_TeamTable";
const membership = "LiteLLM_TeamMembership";
const organization = "LiteLLM_OrganizationTable";
const orgMember = "LiteLLM_OrganizationMembership";
const model = "LiteLLM_ProxyModelTable";
const credential = "LiteLLM_CredentialsTable";

const steps: readonly Step[] = [
  [
    "POST /organization/new",
    { organization_id: "o", organization_alias: "O", ...secrets },
    [`${organization} created`],
  ],
  ["PATCH /organization/update", { organization_id: "o", organization_alias: "P" }, [`${organization} updated`]],
  ["POST /user/new", { user_id: "u", user_email: "u@x.y", auto_create_key: false, ...secrets }, [`${user} created`]],
  ["POST /user/new", { user_id: "v", auto_create_key: false }, [`${user} created`]],
  ["POST /user/update", { user_id: "u", user_alias: "U", spend: 1 }, [`${user} updated`, "accounting.ledger updated"]],
  ["POST /user/bulk_update", { users: [{ user_id: "u", user_alias: "W" }] }, [`${user} updated`]],
  [
    "POST /organization/member_add",
    { organization_id: "o", member: { user_id: "u", role: "internal_user" } },
    [`${orgMember} created`],
  ],
  [
    "PATCH /organization/member_update",
    { organization_id: "o", user_id: "u", role: "org_admin" },
    [`${orgMember} updated`],
  ],
  ["DELETE /organization/member_delete", { organization_id: "o", user_id: "u" }, [`${orgMember} deleted`]],
  ["POST /team/new", { team_id: "t", team_alias: "T", ...secrets }, [`${team} created`]],
  ["POST /team/update", { team_id: "t", team_alias: "Z" }, [`${team} updated`]],
  ["POST /team/block", { team_id: "t" }, [`${team} blocked`]],
  ["POST /team/unblock", { team_id: "t" }, [`${team} unblocked`]],
  ["POST /team/member_add", { team_id: "t", member: { user_id: "u", role: "user" } }, [`${membership} created`]],
  [
    "POST /team/bulk_member_add",
    { team_id: "t", members: [{ user_id: "v", role: "user" }] },
    [`${membership} created`],
  ],
  ["POST /team/member_update", { team_id: "t", user_id: "u", role: "admin" }, [`${membership} updated`]],
  ["POST /team/member_delete", { team_id: "t", user_id: "u" }, [`${membership} deleted`]],
  ["POST /team/model/add", { team_id: "t", models: ["of-file"] }, [`${team} updated`]],
  ["POST /team/model/delete", { team_id: "t", models: ["of-file"] }, [`${team} updated`]],
  [
    "POST /team/permissions_update",
    { team_id: "t", team_member_permissions: ["/key/info", "/key/update"] },
    [`${team} updated`],
  ],
  [
    "POST /project/new",
    { project_id: "p", project_alias: "P", team_id: "t", ...secrets },
    ["LiteLLM_ProjectTable created"],
  ],
  ["POST /project/update", { project_id: "p", project_alias: "Q" }, ["LiteLLM_ProjectTable updated"]],
  [
    "POST /key/generate",
    { key: `sk-${planted}-1`, key_alias: "k", user_id: "u", spend: 1, ...secrets },
    [`${key} created`, "accounting.ledger updated"],
  ],
  ["POST /key/service-account/generate", { team_id: "t", key_alias: "service" }, [`${key} created`]],
  ["POST /key/update", { key: `sk-${planted}-1`, max_budget: 5 }, [`${key} updated`]],
  ["POST /key/bulk_update", { keys: [{ key: `sk-${planted}-1`, max_budget: 6 }] }, [`${key} updated`]],
  ["POST /key/block", { key: `sk-${planted}-1` }, [`${key} blocked`]],
  ["POST /key/unblock", { key: `sk-${planted}-1` }, [`${key} unblocked`]],
  ["POST /key/{key}/reset_spend", { reset_to: 0 }, ["accounting.ledger updated"], `/key/sk-${planted}-1/reset_spend`],
  [
    "POST /key/regenerate",
    { key: `sk-${planted}-1`, new_key: `sk-${planted}-2`, grace_period: "1h" },
    [`${key} rotated`, "LiteLLM_DeprecatedVerificationToken created"],
  ],
  ["POST /key/delete", { key_aliases: ["service"] }, [`${key} deleted`]],
  ["POST /budget/new", { budget_id: "b", max_budget: 1 }, ["LiteLLM_BudgetTable created"]],
  ["POST /budget/update", { budget_id: "b", max_budget: 2 }, ["LiteLLM_BudgetTable updated"]],
  ["POST /budget/delete", { id: "b" }, ["LiteLLM_BudgetTable deleted"]],
  ["POST /customer/new", { user_id: "c", alias: "C" }, ["LiteLLM_EndUserTable created"]],
  ["POST /customer/update", { user_id: "c", alias: "D" }, ["LiteLLM_EndUserTable updated"]],
  ["POST /customer/block", { user_ids: ["c"] }, ["LiteLLM_EndUserTable blocked"]],
  ["POST /customer/unblock", { user_ids: ["c"] }, ["LiteLLM_EndUserTable unblocked"]],
  ["POST /customer/delete", { user_ids: ["c"] }, ["LiteLLM_EndUserTable deleted"]],
  ["POST /tag/new", { name: "g", description: "G" }, ["LiteLLM_TagTable created"]],
  ["POST /tag/update", { name: "g", description: "H" }, ["LiteLLM_TagTable updated"]],
  ["POST /tag/delete", { name: "g" }, ["LiteLLM_TagTable deleted"]],
  [
    "POST /v1/access_group",
    { access_group_name: "a", access_model_names: ["of-file"] },
    ["LiteLLM_AccessGroupTable created"],
  ],
  [
    "PUT /v1/access_group/{access_group_id}",
    { description: "A" },
    ["LiteLLM_AccessGroupTable updated"],
    "/v1/access_group/:access_group_id",
  ],
  [
    "DELETE /v1/access_group/{access_group_id}",
    undefined,
    ["LiteLLM_AccessGroupTable deleted"],
    "/v1/access_group/:access_group_id",
  ],
  [
    "POST /model/new",
    {
      model_name: "m",
      litellm_params: { model: "openai/gpt-4o", api_key: planted },
      model_info: { id: "m1", pin_secret: planted },
    },
    [`${model} created`],
  ],
  [
    "POST /model/update",
    { model_info: { id: "m1" }, litellm_params: { model: "openai/gpt-4o-mini", api_key: `${planted}-new` } },
    [`${model} updated`],
  ],
  ["PATCH /model/{model_id}/update", { model_name: "n" }, [`${model} updated`], "/model/m1/update"],
  [
    "POST /model/new",
    { model_name: "m", litellm_params: { model: "mock/echo" }, model_info: { id: "m2" } },
    [`${model} created`],
  ],
  ["POST /access_group/new", { access_group: "beta", model_ids: ["m1"] }, [`${model} updated`]],
  ["PUT /access_group/{access_group}/update", { model_ids: ["m2"] }, [`${model} updated`], "/access_group/beta/update"],
  ["DELETE /access_group/{access_group}/delete", undefined, [`${model} updated`], "/access_group/beta/delete"],
  ["POST /model/block", { model_id: "m2" }, [`${model} blocked`]],
  ["POST /model/unblock", { model_id: "m2" }, [`${model} unblocked`]],
  ["POST /model/delete", { id: "m1" }, [`${model} deleted`]],
  [
    "POST /credentials",
    {
      credential_name: "x",
      credential_values: { api_key: planted },
      credential_info: { note: "n", auth_key: planted },
    },
    [`${credential} created`],
  ],
  [
    "PATCH /credentials/{credential_name}",
    { credential_values: { api_key: `${planted}-new` } },
    [`${credential} updated`],
    "/credentials/x",
  ],
  ["DELETE /credentials/{credential_name}", undefined, [`${credential} deleted`], "/credentials/x"],
  ["POST /config/reload", {}, ["router.config reloaded"]],
  ["DELETE /project/delete", { project_ids: ["p"] }, ["LiteLLM_ProjectTable deleted"]],
  ["POST /team/delete", { team_ids: ["t"] }, [`${team} deleted`, `${membership} deleted`]],
  ["POST /user/delete", { user_ids: ["v"] }, [`${user} deleted`]],
  ["DELETE /organization/delete", { organization_ids: ["o"] }, [`${organization} deleted`]],
];

/** RPCs that are no pure reads and leave no entry, and why. */
const excused: Readonly<Record<string, string>> = {
  CheckModelHealth: "asks models how they are and changes nothing that administrators manage",
  TestModelConnection: "calls a model with what it is given and stores nothing",
  CollectKey: "needs a scheduled rotation: the entry is in services/auth/audit.test.ts",
};

test("every change leaves entries that tell the call, and no secret", async () => {
  let last = Number((await audit("page_size=1")).logs[0]?.id ?? 0);
  const covered = new Set<string>();
  for (const [declared, body, expected, path] of steps) {
    const [method = ""] = declared.split(" ");
    const target = (path ?? declared.split(" ")[1] ?? "").replace(/:(\w+)/g, (_, name: string) => known[name] ?? "");
    const answer = await ok(`${method} ${target}`, body);
    if (typeof answer.access_group_id === "string") known.access_group_id = answer.access_group_id;
    const { logs } = await audit("page_size=100");
    const fresh = logs.filter(({ id }) => Number(id) > last);
    last = Number(logs[0]?.id);
    const seen = fresh.map(({ table_name, action }) => `${table_name} ${action}`);
    for (const each of expected) assert.ok(seen.includes(each), `${declared}: ${each} is not among ${seen.join(", ")}`);
    for (const { operation, changed_by, master, address, changed_by_api_key } of fresh) {
      assert.deepEqual([operation, changed_by, master], [declared, "somebody", true]);
      assert.match(address, /127\.0\.0\.1/);
      assert.match(changed_by_api_key, /^[0-9a-f]{64}$/);
    }
    covered.add(declared);
  }
  const missing = adminServices
    .flatMap(({ service }) => service.methods)
    .filter(({ idempotency, name }) => idempotency !== Idempotency.NO_SIDE_EFFECTS && excused[name] === undefined)
    .map((each) => ({ name: each.name, paths: getOption(each, httpOption).paths }))
    .filter(({ paths }) => paths.length > 0 && !paths.some((path) => covered.has(path)));
  assert.deepEqual(missing, [], "each of these changes something and has no step here");
});

test("reads, refused and failed changes leave none", async () => {
  const before = await audit("page_size=1");
  const quiet: [string, Json | undefined, number][] = [
    ["GET /key/list", undefined, 200],
    ["POST /key/generate", { key_alias: "k" }, 409],
    ["POST /key/update", { key: "sk-nobody-has-this-key", max_budget: 1 }, 404],
    ["POST /team/new", { team_id: "x", max_budget: -1 }, 400],
    ["POST /key/block", { key: "sk-nobody-has-this-key" }, 404],
  ];
  for (const [target, body, status] of quiet) assert.equal((await call(target, body))[0], status, target);
  assert.equal((await audit("page_size=1")).total, before.total);
});

test("fifty changes at once, of all services, go one after the other into the chain", async () => {
  const { total } = await audit("page_size=1");
  const changes = Array.from({ length: 50 }, (_, n): Promise<Json> => {
    if (n % 5 === 0) return ok("POST /model/new", { model_name: "many", litellm_params: { model: "mock/echo" } });
    if (n % 5 === 1) return ok("POST /user/update", { user_id: "u", spend: n });
    if (n % 5 === 2) return ok("POST /user/update", { user_id: "u", user_alias: `alias ${n}` });
    return ok("POST /key/generate", { user_id: "u", key_alias: `many ${n}` });
  });
  await Promise.all(changes);
  const expected = 10 + 10 + 10 + 20;
  const after = await audit("page_size=100");
  // An update of spend alone touches the user's row, which is bookkeeping.
  assert.equal(after.total, total + expected);
  assert.deepEqual(
    after.logs.map(({ id }) => Number(id)),
    after.logs.map((_, at) => after.total - at),
  );
});

test("GET /audit narrows, sorts and pages; what makes no sense is a 400", async () => {
  const all = await audit("page_size=100");
  const everything = [...all.logs, ...(await audit("page_size=100&page=2")).logs];
  assert.equal(everything.length, all.total);
  // Midnight may have passed between the first and the last.
  const [lastDay, firstDay] = [everything[0], everything.at(-1)].map((log) => log?.updated_at.slice(0, 10));
  const keyHash = everything.find(({ action }) => action === "rotated")?.object_id ?? "";
  const newHash = String(everything.find(({ action }) => action === "rotated")?.updated_values?.key_id);
  const filters: [query: string, matches: (log: AuditLog) => boolean][] = [
    ["action=created", ({ action }) => action === "created"],
    ["action=delete", ({ action }) => action === "deleted"],
    [`table_name=${key}`, ({ table_name }) => table_name === key],
    ["table_name=auth.team", ({ table_name }) => table_name === team],
    ["object_id=t", ({ object_id }) => object_id === "t"],
    ["changed_by=somebody", ({ changed_by }) => changed_by === "somebody"],
    ["changed_by=nobody", () => false],
    [`changed_by_api_key=${gateway.masterKey}`, ({ master }) => master],
    [`start_date=${firstDay}`, () => true],
    [`end_date=${lastDay}`, () => true],
    ["end_date=2020-01-31T12:00:00Z", () => false],
    ["start_date=2020-01-31%2012:00&end_date=2020-02-01", () => false],
    ["object_team_id=t", (log) => [log.before_value, log.updated_values].some((value) => value?.team_id === "t")],
    [
      `object_key_hash=${newHash}`,
      (log) => [log.before_value, log.updated_values].some((value) => value?.key_id === newHash),
    ],
    [`object_id=${keyHash}&action=rotated`, ({ action }) => action === "rotated"],
  ];
  for (const [query, matches] of filters) {
    const { logs, total } = await audit(`page_size=100&${query}`);
    assert.equal(total, everything.filter(matches).length, query);
    assert.ok(logs.every(matches), query);
  }
  assert.ok((await audit(`object_key_hash=${newHash}`)).total >= 1);
  const ascending = await audit("sort_by=updated_at&sort_order=asc&page_size=2");
  assert.deepEqual([ascending.logs.map(({ id }) => id), ascending.pages], [["1", "2"], Math.ceil(all.total / 2)]);
  const byTable = (await audit("sort_by=table_name&page_size=100")).logs.map(({ table_name }) => table_name);
  assert.equal(byTable[0], model);
  const bad = ["page=0", "page_size=101", "sort_by=hash", "sort_order=up", "start_date=June", "end_date=2026-02-31"];
  for (const query of bad) assert.equal((await call(`GET /audit?${query}`))[0], 400, query);
  const [first] = ascending.logs;
  assert.deepEqual(await ok("GET /audit/1"), first);
  for (const id of ["0", "999999", "x", "1; drop table audit.log"]) {
    assert.equal((await call(`GET /audit/${encodeURIComponent(id)}`))[0], 404, id);
  }
});

test("admins and viewers read it, others do not", async () => {
  const roles: [role: string, status: number][] = [
    ["proxy_admin", 200],
    ["proxy_admin_viewer", 200],
    ["internal_user", 403],
    ["internal_user_viewer", 403],
  ];
  for (const [role, status] of roles) {
    const { key: own } = await ok("POST /user/new", { user_role: role, user_id: `is-${role}` });
    for (const path of ["/audit", "/audit/1"]) {
      assert.equal((await call(`GET ${path}`, undefined, String(own)))[0], status, `${path} as ${role}`);
    }
  }
  assert.equal((await call("GET /audit", undefined, "sk-nobody-has-this-key"))[0], 401);
  const [log] = (await audit("object_id=is-proxy_admin")).logs;
  assert.equal(log?.operation, "POST /user/new");
});

/** What the command says, and how it ends. */
function verify(...args: string[]): Promise<{ code: number; text: string }> {
  const env = { PATH: "/usr/bin:/bin", SLUICE_DATA_DIR: dataDir, CONFIG_FILE_PATH: join(dataDir, "config.yaml") };
  const command = join(import.meta.dirname, "../services/mesh/commands/verify-audit.ts");
  return new Promise((resolve) => {
    execFile(process.execPath, [command, ...args], { env }, (error, out, err) => {
      resolve({ code: Number(error?.code ?? 0), text: out + err });
    });
  });
}

async function open(): Promise<Database> {
  const url = await runningEmbeddedPostgres(dataDir);
  assert.ok(url);
  return openDatabase({ url, schema: "looking", entities: [], migrations: [], log: silent });
}

test("a change made by hand is recorded, and nothing planted is anywhere in the log", async () => {
  const database = await open();
  await database.em().execute("update auth.internal_user set user_alias = 'by hand' where user_id = 'u'");
  const [log] = (await audit("object_id=u&page_size=1")).logs;
  assert.deepEqual(
    [log?.changed_by, log?.operation, log?.updated_values?.user_alias],
    ["database:postgres", "SQL", "by hand"],
  );
  const [row] = await database
    .em()
    .execute<{ found: number; total: number }[]>(
      "select count(*) filter (where l::text like ? or encode(convert_to(l::text, 'UTF8'), 'escape') like ?)::int as found, count(*)::int as total from audit.log l",
      [`%${planted}%`, `%${Buffer.from(planted).toString("base64").slice(0, 20)}%`],
    );
  assert.equal(row?.found, 0);
  assert.ok((row?.total ?? 0) > steps.length);
  await database.close();
});

test("npm run verify-audit says that it is whole, beside the gateway and after it; and what is not", async () => {
  const beside = await verify();
  assert.equal(beside.code, 0, beside.text);
  assert.match(beside.text, /\d+ entries checked: 1 \(.*\)/);
  const head = /ends with (\d+):([0-9a-f]{64})/.exec(beside.text);
  await gateway.stop();
  assert.match(gateway.output(), /audit anchored/, "the gateway anchors when it stops");
  const afterwards = await verify("--anchor", `${head?.[1]}:${head?.[2]}`);
  assert.equal(afterwards.code, 0, afterwards.text);
  assert.match(afterwards.text, /[1-9]\d* anchors checked/);
  const wrong = await verify("--anchor", `3:${"0".repeat(64)}`);
  assert.deepEqual([wrong.code, /Entry 3: it is not the entry that was noted/.test(wrong.text)], [1, true], wrong.text);
  const embedded = await startEmbeddedPostgres({ dataDir, log: silent });
  const database = await openDatabase({
    url: embedded.url,
    schema: "looking",
    entities: [],
    migrations: [],
    log: silent,
  });
  await database.em().execute("alter table audit.log disable trigger user");
  await database.em().execute("delete from audit.log where seq = 7");
  await database.close();
  await embedded.close();
  await sleep(10);
  const tampered = await verify();
  assert.deepEqual([tampered.code, /Entry 7: it is missing/.test(tampered.text)], [1, true], tampered.text);
});
