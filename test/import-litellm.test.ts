import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type FakeUpstream, startFakeUpstream } from "#chassis/testing/fake-upstream.ts";
import { startTestPostgres, type TestPostgres } from "#chassis/testing/postgres.ts";
import { type GatewayProcess, makeDataDir, removeDataDir, startGatewayProcess } from "./harness/gateway-process.ts";
import {
  type OpenDatabase,
  openLitellmDatabase,
  openTestDatabase,
  saltKey,
  snapshot,
  startImport,
} from "./harness/litellm-database.ts";

const masterKey = "sk-master-of-sluice";
const hash = (key: string) => createHash("sha256").update(key).digest("hex");
const fixtureKey = (name: string) => `sk-fixture-key-${name}`;
const timeout = 600_000;

const postgres = await startTestPostgres();
if (postgres === undefined) console.log("the tests of the import are left out: PostgreSQL is not installed");
else describe("import-litellm", { timeout: 4 * timeout }, () => run(postgres));

function run(server: TestPostgres): void {
  let work: string;
  let upstream: FakeUpstream;
  let source: OpenDatabase;
  const opened: OpenDatabase[] = [];
  const answered = { calls: 0 };

  before(async () => {
    work = await mkdtemp(join(tmpdir(), "sluice-import-"));
    upstream = await startFakeUpstream({
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        id: "chatcmpl-1",
        object: "chat.completion",
        choices: [{ index: 0, message: { role: "assistant", content: "Hello!" }, finish_reason: "stop" }],
        usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
      }),
    });
    source = await litellm("litellm");
    // Sealed addresses name a port that nobody listens on; one that is not sealed is taken as it is.
    await source.execute(
      `update "LiteLLM_ProxyModelTable" set litellm_params = jsonb_set(litellm_params, '{api_base}', '"${upstream.url}/v1"')
       where litellm_params ? 'api_base'`,
    );
    await source.execute(
      `update "LiteLLM_CredentialsTable"
       set credential_values = jsonb_set(credential_values, '{api_base}', '"${upstream.url}/v1"')`,
    );
    // The windows of the dump end soon after the day it was made, and what was spent in a window that is over is gone.
    for (const table of ["BudgetTable", "TeamTable", "UserTable", "VerificationToken"]) {
      await source.execute(
        `update "LiteLLM_${table}" set budget_reset_at = now() at time zone 'UTC' + interval '9 days'
         where budget_duration is not null`,
      );
    }
  });
  after(async () => {
    await Promise.all(opened.map((database) => database.close()));
    await upstream?.close();
    await server.stop();
    await rm(work, { recursive: true, force: true });
  });

  async function litellm(name: string): Promise<OpenDatabase> {
    const database = await openLitellmDatabase(server.url.reveal(), name);
    opened.push(database);
    return database;
  }

  async function target(name: string): Promise<OpenDatabase> {
    const database = await openTestDatabase(server.url.reveal(), name);
    opened.push(database);
    return database;
  }

  function env(into: OpenDatabase): Record<string, string> {
    return { DATABASE_URL: into.url, SLUICE_DATA_DIR: work, LITELLM_MASTER_KEY: masterKey };
  }

  /** Runs an import and reads its report. */
  async function take(into: Record<string, string>, from: OpenDatabase, ...args: string[]) {
    const report = join(work, "report.json");
    await rm(report, { force: true });
    const all = ["--database-url", from.url, "--salt-key", saltKey, "--report", report, ...args];
    const { code, output } = await startImport(all, into).ended;
    assert.equal(code, 0, output);
    assert.doesNotMatch(output, /sk-upstream|sk-salt|value-of-the-environment/);
    const { kinds, left } = JSON.parse(await readFile(report, "utf8"));
    const changed = Object.entries<Record<string, number>>(kinds).flatMap(([kind, { created = 0, updated = 0 }]) =>
      created + updated === 0 ? [] : [`${kind} ${created} ${updated}`],
    );
    return { kinds, left, changed, output };
  }

  async function chat(gateway: GatewayProcess, key: string, model: string): Promise<{ status: number; text: string }> {
    const body = { model, max_tokens: 5, messages: [{ role: "user", content: "Hello" }] };
    const response = await gateway.request("/v1/chat/completions", { key, body });
    if (response.ok) answered.calls += 1;
    return { status: response.status, text: await response.text() };
  }

  async function get(gateway: GatewayProcess, path: string) {
    const response = await gateway.request(path);
    const text = await response.text();
    assert.equal(response.status, 200, `${path}: ${text}`);
    return JSON.parse(text);
  }

  /** Calls until it is answered: a gateway that runs learns of a change within seconds. */
  async function until(what: () => Promise<boolean>): Promise<void> {
    const deadline = Date.now() + 30_000;
    while (!(await what())) {
      assert.ok(Date.now() < deadline, "the gateway does not notice");
      await sleep(250);
    }
  }

  test("the gateway goes on with what LiteLLM had, and takes what changes there later", { timeout }, async () => {
    const into = await target("taken");
    const dataDir = await makeDataDir();
    const gateway = await startGatewayProcess({ entry: "services/main.ts", dataDir, env: env(into), masterKey });
    try {
      await checkStops(into);
      const empty = await snapshot(into);
      const planned = await take(env(into), source, "--dry-run");
      assert.deepEqual(await snapshot(into), empty, "a dry run has written");
      assert.match(planned.output, /nothing was written/);

      const taken = await take(env(into), source);
      assert.deepEqual(taken.changed, planned.changed);
      assert.equal(taken.kinds.keys.created, 19);
      await until(async () => (await chat(gateway, fixtureKey("plain"), "priced")).status === 200);
      await checkCalls(gateway);
      await checkViews(gateway);

      const before = await settled(into);
      assert.deepEqual((await take(env(into), source)).changed, []);
      assert.deepEqual(await settled(into), before, "the same import again has changed something");
      await checkLater(into, gateway);
    } finally {
      await gateway.stop();
      await removeDataDir(dataDir);
    }
  });

  /** What is stored once the calls that were made are written down. */
  async function settled(into: OpenDatabase): Promise<string[]> {
    const rowsOfCalls = async () => (await into.execute("select 1 from accounting.spend_log")).length;
    await until(async () => (await rowsOfCalls()) >= answered.calls);
    for (let before: string[] = []; ; ) {
      const rows = (await snapshot(into)).filter((row) => !/^accounting\.(lease|rate_bucket) /.test(row));
      if (rows.join("\n") === before.join("\n")) return rows;
      before = rows;
      await sleep(1000);
    }
  }

  /** What stops an import before it writes. */
  async function checkStops(into: OpenDatabase): Promise<void> {
    const before = await snapshot(into);
    const cases = [
      {
        args: ["--database-url", source.url, "--salt-key", "wrong"],
        says: /\d+ of the \d+ sealed values .* do not open/,
      },
      { args: ["--database-url", source.url], says: /--salt-key/ },
      { args: ["--database-url", into.url, "--salt-key", saltKey], says: /no tables of LiteLLM/ },
      { args: ["--database-url", "http://localhost/x"], says: /postgresql:\/\// },
      { args: [], says: /has to be named/ },
      {
        args: ["--database-url", source.url, "--salt-key", saltKey],
        own: { LITELLM_MASTER_KEY: "sk-another" },
        says: /LITELLM_MASTER_KEY/,
      },
    ];
    for (const { args, own, says } of cases) {
      const { code, output } = await startImport(args, { ...env(into), ...own }).ended;
      assert.equal(code, 1, output);
      assert.match(output, says);
      assert.doesNotMatch(output, /\n {4}at /, "a person's mistake needs no stack");
    }
    assert.deepEqual(await snapshot(into), before);
  }

  async function checkCalls(gateway: GatewayProcess): Promise<void> {
    const cases = [
      { key: "limited", model: "priced", status: 200 },
      { key: "limited", model: "echo", status: 401 },
      { key: "of-bob", model: "fast", status: 200 },
      { key: "of-red", model: "cheap", status: 200 },
      { key: "group", model: "priced", status: 200 },
      { key: "group", model: "echo", status: 401 },
      { key: "plain-before", model: "priced", status: 200 },
      { key: "blocked", model: "priced", status: 401 },
      { key: "expired", model: "priced", status: 401 },
    ];
    for (const { key, model, status } of cases) {
      const answer = await chat(gateway, fixtureKey(key), model);
      assert.equal(answer.status, status, `${key} ${model}: ${answer.text}`);
    }
    const spent = await chat(gateway, fixtureKey("nearly-spent"), "priced");
    assert.ok(spent.status >= 400 && /budget/i.test(spent.text), spent.text);
    for (const [model, key] of [
      ["by-credential", "sk-upstream-shared"],
      ["echo", "sk-upstream-echo"],
      ["gcm", "sk-upstream-gcm-model"],
    ] as const) {
      const answer = await chat(gateway, fixtureKey("plain"), model);
      assert.equal(answer.status, 200, answer.text);
      assert.equal(upstream.requests.at(-1)?.headers.authorization, `Bearer ${key}`);
      assert.doesNotMatch(String(upstream.requests.at(-1)?.body), /xai|keepalive/, "a switch of LiteLLM's is sent on");
    }
  }

  async function checkViews(gateway: GatewayProcess): Promise<void> {
    const { info } = await get(gateway, `/key/info?key=${hash(fixtureKey("limited"))}`);
    assert.partialDeepStrictEqual(info, {
      key_alias: "limited",
      key_name: "sk-...ited",
      models: ["priced"],
      max_budget: 5,
      budget_duration: "30d",
      tpm_limit: 10000,
      rpm_limit: 100,
      max_parallel_requests: 3,
      metadata: { purpose: "tests", nested: { a: [1, 2.5] } },
    });
    const { team_info: team } = await get(gateway, "/team/info?team_id=red");
    assert.partialDeepStrictEqual(team, {
      team_alias: "Red team",
      organization_id: "acme",
      max_budget: 40,
      soft_budget: 30,
      models: ["priced", "echo", "openai/*"],
      tpm_limit: 20000,
      metadata: { owner: "ada" },
    });
    assert.ok(team.spend >= 0.156, `spent ${team.spend}`);
    const [row] = await source.execute(
      `select (extract(epoch from budget_reset_at) * 1000)::float8 as at from "LiteLLM_TeamTable" where team_id = 'red'`,
    );
    assert.equal(Date.parse(team.budget_reset_at), Math.floor(Number(row?.at)));
    assert.deepEqual(
      team.members_with_roles.map(({ user_id, role }: Record<string, string>) => `${user_id} ${role}`).toSorted(),
      ["ada admin", "bob user", "cyd user", "default_user_id admin"],
    );
    const { user_info: user } = await get(gateway, "/user/info?user_id=bob");
    assert.partialDeepStrictEqual(user, { user_email: "bob@example.com", max_budget: 25, models: ["priced", "echo"] });
  }

  /** Both sides go on for a while: what changed there comes, what changed here stays, what was deleted here is gone. */
  async function checkLater(into: OpenDatabase, gateway: GatewayProcess): Promise<void> {
    const ledger = async () => {
      const [row] = await into.execute(
        `select spent_nano_usd as spent from accounting.ledger where scope = 'key:${hash(fixtureKey("gold"))}'`,
      );
      return BigInt(String(row?.spent));
    };
    const before = await ledger();
    await source.execute(`delete from "LiteLLM_VerificationToken" where key_alias = 'fallbacks'`);
    await source.execute(
      `update "LiteLLM_VerificationToken" set rpm_limit = 7, max_budget = 3 where key_alias in ('gold', 'soft')`,
    );
    await source.execute(`update "LiteLLM_VerificationToken" set spend = spend + 0.5 where key_alias = 'gold'`);
    await source.execute(
      `update "LiteLLM_ProxyModelTable" set litellm_params = jsonb_set(litellm_params, '{rpm}', '61')
       where model_id in ('model-echo', 'model-wildcard')`,
    );
    for (const [path, body] of [
      ["/model/delete", { id: "model-wildcard" }],
      ["/key/update", { key: hash(fixtureKey("soft")), tpm_limit: 99 }],
      ["/key/delete", { keys: [hash(fixtureKey("llm-only"))] }],
      ["/key/regenerate", { key: hash(fixtureKey("cache")) }],
    ] as const) {
      const response = await gateway.request(path, { body });
      assert.equal(response.status, 200, await response.text());
    }
    const { changed, left } = await take(env(into), source);
    assert.deepEqual(changed, ["spend totals 1 0", "keys 0 1", "models 0 1"]);
    assert.equal((await ledger()) - before, 500_000_000n);
    const reasons = left.filter(
      ({ kind, reason }: Record<string, string>) => kind === "keys" && /here since/.test(reason ?? ""),
    );
    const named = reasons.map(({ objects }: { objects: string[] }) => objects.toSorted().join(" "));
    assert.deepEqual(named.toSorted(), ["cache llm-only", "soft"]);
    assert.ok(left.some(({ objects }: { objects: string[] }) => objects.includes("openai/* (model-wildcard)")));
    assert.equal((await chat(gateway, fixtureKey("plain"), "echo")).status, 200, "the updated model works");
    const gone = left.filter(({ reason }: Record<string, string>) => /no longer at LiteLLM/.test(reason ?? ""));
    assert.deepEqual(gone[0]?.objects, ["fallbacks"]);
    const { info } = await get(gateway, `/key/info?key=${hash(fixtureKey("soft"))}`);
    assert.partialDeepStrictEqual(info, { rpm_limit: null, tpm_limit: 99, max_budget: 12 });
    await until(async () => (await get(gateway, `/key/info?key=${hash(fixtureKey("gold"))}`)).info.rpm_limit === 7);
  }

  test("an import that was killed and begun again ends where an undisturbed one does", { timeout }, async () => {
    const big = await litellm("big");
    await big.execute(
      `insert into "LiteLLM_VerificationToken" (token, key_name, key_alias, spend, max_budget, budget_duration, created_at)
       select encode(sha256(n::text::bytea), 'hex'), 'sk-...many', 'many-' || n, n * 0.001, 50, '30d', now()
       from generate_series(1, 4000) n`,
    );
    const undisturbed = await target("undisturbed");
    await take(env(undisturbed), big);
    let into = await target("disturbed");
    // An import may be done before a busy machine has come to disturb it: then another database is its target.
    for (let tries = 1; !(await disturb(big, into)); tries += 1) {
      assert.ok(tries < 5, "never disturbed in time");
      into = await target(`disturbed_${tries}`);
    }
    await take(env(into), big);
    const [whole, again] = await Promise.all([snapshot(undisturbed), snapshot(into)]);
    // Notes of whom to tell are numbered, and there are more where a run was cut off between two batches.
    const withoutNotes = (rows: readonly string[]) => rows.filter((row) => !/^(auth\.outbox|router\.state) /.test(row));
    assert.equal(withoutNotes(again).length, withoutNotes(whole).length);
    assert.deepEqual(withoutNotes(again), withoutNotes(whole));
  });

  /** Kills imports at four points and cuts the connections of a fifth one. Tells whether each was disturbed in time. */
  async function disturb(big: OpenDatabase, into: OpenDatabase): Promise<boolean> {
    const args = ["--database-url", big.url, "--salt-key", saltKey];
    for (const enough of [1, 40, 1000, 2500]) {
      const running = startImport(args, env(into));
      await reaches(into, enough, running.ended);
      running.kill();
      const { code, output } = await running.ended;
      if (code === 0) return false;
      assert.equal(code, null, output);
    }
    const cut = startImport(args, env(into));
    await reaches(into, 3000, cut.ended);
    await big.execute(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'sluice-import'",
    );
    const { code, output } = await cut.ended;
    if (code === 0) return false;
    assert.equal(code, 1);
    assert.match(output, /A database is away.*begin again/);
    return true;
  }

  async function reaches(database: OpenDatabase, count: number, ended: Promise<unknown>): Promise<void> {
    const state = { ended: false };
    void ended.then(() => {
      state.ended = true;
    });
    while (!state.ended) {
      const [row] = await database.execute("select count(*)::int as n from auth.imported").catch(() => []);
      if (Number(row?.n ?? 0) >= count) return;
      await sleep(5);
    }
  }

  test("an older LiteLLM has fewer tables and columns", { timeout }, async () => {
    const old = await litellm("old");
    for (const table of ["ProjectTable", "TagTable", "AccessGroupTable", "DeprecatedVerificationToken"]) {
      await old.execute(`drop table "LiteLLM_${table}" cascade`);
    }
    for (const column of ["budget_limits", "access_group_ids", "project_id", "rotation_count", "key_type", "blocked"]) {
      await old.execute(`alter table "LiteLLM_VerificationToken" drop column ${column}`);
    }
    const { kinds, left, output } = await take(env(await target("from_old")), old);
    assert.equal(kinds.keys.created, 19, output);
    const missing = left.filter(({ reason }: Record<string, string>) => /not in this version/.test(reason ?? ""));
    assert.equal(missing.length, 3);
    const unreadable = ["--database-url", old.url, "--salt-key", "wrong", "--leave-unreadable", "--dry-run"];
    const { code, output: said } = await startImport(unreadable, env(await target("from_old"))).ended;
    assert.equal(code, 0, said);
    assert.match(said, /credentials: api_key.* cannot be opened/);
  });

  test("the embedded database is a target too, open or not", { timeout }, async () => {
    const dataDir = await makeDataDir();
    const into = { SLUICE_DATA_DIR: dataDir, LITELLM_MASTER_KEY: masterKey };
    try {
      const { created } = (await take(into, source)).kinds.keys;
      assert.ok(created >= 18);
      const gateway = await startGatewayProcess({ entry: "services/main.ts", dataDir, masterKey });
      try {
        assert.equal((await chat(gateway, fixtureKey("limited"), "priced")).status, 200);
        assert.equal((await take(into, source)).kinds.keys.unchanged, created);
      } finally {
        await gateway.stop();
      }
    } finally {
      await removeDataDir(dataDir);
    }
  });
}
