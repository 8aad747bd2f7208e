import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { type GatewayProcess, makeDataDir, removeDataDir, startGatewayProcess } from "./harness/gateway-process.ts";

let gateway: GatewayProcess;
let dataDir: string;
before(async () => {
  dataDir = await makeDataDir();
  const env = { LITELLM_KEY_ROTATION_CHECK_INTERVAL_SECONDS: "1" };
  gateway = await startGatewayProcess({ entry: "services/main.ts", env, dataDir });
});
after(async () => {
  await gateway?.stop();
  await removeDataDir(dataDir);
});

const made = z.looseObject({ key: z.string(), token: z.string() });
const failure = z.object({
  error: z.object({ message: z.string(), type: z.string().nullable(), param: z.string().nullable(), code: z.string() }),
});

async function call(path: string, body?: unknown, key?: string) {
  const response = await gateway.request(path, {
    ...(body === undefined ? {} : { body }),
    ...(key === undefined ? {} : { key }),
  });
  return { status: response.status, body: z.record(z.string(), z.unknown()).parse(await response.json()) };
}

async function generate(body: object) {
  const answer = await call("/key/generate", body);
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  return made.parse(answer.body);
}

async function refusal(path: string, body?: unknown, key?: string) {
  const answer = await call(path, body, key);
  const { error } = failure.parse(answer.body);
  return { status: answer.status, param: error.param, message: error.message };
}

/** Whether a key may call a model, as soon as the edge knows. */
async function echo(key: string, expected: number): Promise<void> {
  const body = { model: "mock/echo", messages: [{ role: "user", content: "Hello!" }] };
  const state = { status: 0 };
  for (let tries = 0; tries < 40 && state.status !== expected; tries += 1) {
    const response = await gateway.request("/v1/chat/completions", { key, body });
    await response.text();
    state.status = response.status;
    if (state.status !== expected) await sleep(50);
  }
  assert.equal(state.status, expected);
}

/** LiteLLM's columns of a key (`LiteLLM_VerificationToken`) that Sluice has. */
const columns = z.looseObject({
  token: z.string().regex(/^[0-9a-f]{64}$/),
  key_name: z.string().startsWith("sk-..."),
  key_alias: z.string().nullable(),
  spend: z.number(),
  max_budget: z.number().nullable(),
  expires: z.iso.datetime().nullable(),
  models: z.array(z.string()),
  aliases: z.record(z.string(), z.string()),
  user_id: z.string().nullable(),
  team_id: z.string().nullable(),
  organization_id: z.string().nullable(),
  project_id: z.string().nullable(),
  max_parallel_requests: z.number().nullable(),
  metadata: z.record(z.string(), z.unknown()),
  tpm_limit: z.number().nullable(),
  rpm_limit: z.number().nullable(),
  budget_duration: z.string().nullable(),
  budget_reset_at: z.iso.datetime().nullable(),
  allowed_routes: z.array(z.string()),
  model_max_budget: z.record(z.string(), z.unknown()),
  blocked: z.boolean(),
  budget_id: z.string().nullable(),
  created_at: z.iso.datetime(),
  created_by: z.string(),
  updated_at: z.iso.datetime(),
  updated_by: z.string(),
  access_group_ids: z.array(z.string()),
  rotation_count: z.number(),
  auto_rotate: z.boolean().nullable(),
  rotation_interval: z.string().nullable(),
  last_rotation_at: z.iso.datetime().nullable(),
  key_rotation_at: z.iso.datetime().nullable(),
});

test("keys are listed as hashes and as whole objects, by page, with LiteLLM's names", async () => {
  const keys = [];
  for (let n = 0; n < 3; n += 1) {
    keys.push(await generate({ key_alias: `list-${n}`, user_id: "lister", max_budget: 1.5, metadata: { n } }));
  }
  const hashes = await call("/key/list?user_id=lister&size=2&sort_by=key_alias&sort_order=asc");
  assert.deepEqual(hashes.body, {
    keys: [keys[0]?.token, keys[1]?.token],
    total_count: 3,
    current_page: 1,
    total_pages: 2,
  });
  const whole = await call("/key/list?user_id=LIST&substring_matching=true&return_full_object=true");
  const listed = z.object({ keys: z.array(columns) }).parse(whole.body).keys;
  assert.deepEqual(
    listed.map(({ key_alias }) => key_alias),
    ["list-2", "list-1", "list-0"],
  );
  assert.deepEqual([listed[0]?.max_budget, listed[0]?.metadata, listed[0]?.user], [1.5, { n: 2 }, null]);
  await call("/user/new", { user_id: "lister", user_email: "lister@example.org", auto_create_key: false });
  const expanded = await call("/key/list?user_id=lister&expand=user&size=1");
  const [first] = z.object({ keys: z.array(z.looseObject({ user: z.looseObject({}) })) }).parse(expanded.body).keys;
  assert.equal(first?.user.user_email, "lister@example.org");
  assert.deepEqual((await call("/key/aliases?search=list-&size=2")).body, {
    aliases: ["list-0", "list-1"],
    total_count: 3,
    current_page: 1,
    total_pages: 2,
    size: 2,
  });
  const infos = await call("/v2/key/info", { keys: [keys[0]?.key, "sk-nobody-has-this"] });
  assert.deepEqual(infos.body.key, [keys[0]?.key, "sk-nobody-has-this"]);
  assert.equal(z.array(columns).parse(infos.body.info)[0]?.key_alias, "list-0");
  await call("/key/delete", { keys: [keys[2]?.key] });
  const deleted = await call("/key/list?status=deleted&key_alias=list-2&return_full_object=true");
  const gone = columns.extend({ deleted_at: z.iso.datetime(), deleted_by: z.string() });
  assert.equal(z.object({ keys: z.array(gone) }).parse(deleted.body).keys.length, 1);
  const own = await call("/key/list", undefined, keys[0]?.key);
  assert.deepEqual(own.body.keys?.toString().split(",").toSorted(), [keys[0]?.token, keys[1]?.token].toSorted());
});

test("a block holds at once, and ends with the unblock", async () => {
  const { key, token } = await generate({});
  await echo(key, 200);
  const blocked = await call("/key/block", { key: token });
  assert.deepEqual([columns.parse(blocked.body).blocked, blocked.body.token], [true, token]);
  await echo(key, 401);
  assert.equal(columns.parse((await call("/key/unblock", { key })).body).blocked, false);
  await echo(key, 200);
  assert.deepEqual((await refusal("/key/block", { key: "sk-nobody-has-this" })).status, 404);
});

test("a key is regenerated by both paths, and its grace period holds", async () => {
  const { key, token } = await generate({ key_alias: "rotating", max_budget: 3 });
  await echo(key, 200);
  const first = await call("/key/regenerate", { key, grace_period: "1h", max_budget: 4, models: null });
  const renewed = columns.extend({ key: z.string(), token_id: z.string() }).parse(first.body);
  assert.deepEqual([renewed.max_budget, renewed.key_alias, renewed.rotation_count], [4, "rotating", 1]);
  assert.notEqual(renewed.token, token);
  await echo(renewed.key, 200);
  await echo(key, 200);
  const second = await call(`/key/${renewed.token}/regenerate`, { new_key: "sk-1234567890-chosen" });
  assert.equal(second.body.key, "sk-1234567890-chosen");
  await echo("sk-1234567890-chosen", 200);
  await echo(renewed.key, 401);
  await call("/key/block", { key: "sk-1234567890-chosen" });
  await echo(key, 401);
  const master = await refusal("/key/regenerate", { key, new_master_key: "sk-new" });
  assert.deepEqual([master.status, master.param], [400, "key"]);
});

test("a key rotates by itself, and whoever holds the old one collects the new one", async () => {
  const { key, token } = await generate({ auto_rotate: true, rotation_interval: "1s" });
  const state: { collected: string | undefined } = { collected: undefined };
  for (let tries = 0; tries < 100 && state.collected === undefined; tries += 1) {
    await sleep(100);
    const answer = await call("/key/collect", {}, key);
    if (answer.status === 200) state.collected = String(answer.body.key);
    else assert.equal(answer.status, 404, JSON.stringify(answer.body));
  }
  assert.match(state.collected ?? "", /^sk-/);
  await echo(state.collected ?? "", 200);
  await echo(key, 200);
  assert.ok(!gateway.output().includes(state.collected ?? "sk-"));
  assert.match(gateway.output(), /key rotated/);
  await call("/key/update", { key: state.collected, auto_rotate: false });
  const info = z.object({ info: columns }).parse((await call("/key/info", undefined, state.collected)).body).info;
  assert.deepEqual([info.auto_rotate, info.key_rotation_at, info.token === token], [false, null, false]);
});

test("spend is set and reset, many keys are updated at once, a key says that it is healthy", async () => {
  const { key, token } = await generate({ spend: 2.5, max_budget: 10, budget_duration: "30d" });
  const info = async () => z.object({ info: columns }).parse((await call(`/key/info?key=${token}`)).body).info;
  assert.equal((await info()).spend, 2.5);
  assert.equal((await call("/key/update", { key, spend: 4 })).body.spend, 4);
  const reset = await call(`/key/${token}/reset_spend`, { reset_to: 1 });
  assert.deepEqual(reset.body, { key_hash: token, spend: 1, previous_spend: 4, max_budget: 10, budget_reset_at: null });
  assert.deepEqual(await refusal(`/key/${key}/reset_spend`, { reset_to: 5 }), {
    status: 400,
    param: "reset_to",
    message: "reset_to must not be above what the key has spent.",
  });
  const bulk = await call("/key/bulk_update", {
    keys: [
      { key, max_budget: 20, tags: ["a"] },
      { key: "sk-nobody-has-this", max_budget: 1 },
    ],
  });
  const results = z.object({
    total_requested: z.literal(2),
    successful_updates: z.array(z.object({ key: z.string(), key_info: columns })),
    failed_updates: z.array(z.object({ key: z.string(), failed_reason: z.string() })),
  });
  const { successful_updates, failed_updates } = results.parse(bulk.body);
  assert.deepEqual([successful_updates[0]?.key_info.max_budget, failed_updates[0]?.key], [20, "sk-nobody-has-this"]);
  assert.deepEqual((await call("/key/health", {}, key)).body, { key: "healthy", logging_callbacks: null });
  assert.deepEqual((await refusal("/key/service-account/generate", {})).param, "team_id");
  const stale = await refusal("/key/update", { key, version: 1, max_budget: 1 });
  assert.deepEqual([stale.status, stale.param], [409, "version"]);
});

test("what makes no sense is refused, and names the field", async () => {
  const { key } = await generate({});
  const cases: [path: string, body: unknown, status: number, param: string][] = [
    ["/key/list?sort_by=key_alias;drop%20table", undefined, 400, "sort_by"],
    ["/key/list?size=1000", undefined, 400, "size"],
    ["/key/list?page=-1", undefined, 400, "page"],
    ["/key/list?return_full_object=maybe", undefined, 400, "return_full_object"],
    ["/key/list?agent_id=a", undefined, 400, "agent_id"],
    ["/key/list?key_alias=%00", undefined, 400, "key_alias"],
    ["/key/list?status=alive", undefined, 400, "status"],
    ["/key/aliases?size=0", undefined, 400, "size"],
    ["/key/block", { key: ["a"] }, 400, "key"],
    ["/key/block", { key: { toString: "x" } }, 400, "key"],
    ["/key/regenerate", {}, 400, "key"],
    ["/key/regenerate", { key, grace_period: "soon" }, 400, "grace_period"],
    ["/key/regenerate", { key, new_key: "short" }, 400, "new_key"],
    ["/key/bulk_update", { keys: Array.from({ length: 10_000 }, () => ({ key })) }, 400, "keys"],
    ["/key/bulk_update", { keys: "all" }, 400, "keys"],
    ["/key/generate", { team_id: "no-such-team" }, 400, "team_id"],
    ["/key/generate", { budget_id: "no-such-budget" }, 400, "budget_id"],
    ["/key/generate", { key_alias: "\ud800" }, 400, "key_alias"],
    ["/key/x%00y/reset_spend", { reset_to: 0 }, 400, "key"],
    ["/v2/key/info", { keys: [1] }, 400, "keys"],
  ];
  for (const [path, body, status, param] of cases) {
    const refused = await refusal(path, body);
    assert.deepEqual([refused.status, refused.param], [status, param], `${path} ${refused.message}`);
  }
});
