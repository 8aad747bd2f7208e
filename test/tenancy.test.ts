import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type FakeUpstream, type RecordedRequest, startFakeUpstream } from "#chassis/testing/fake-upstream.ts";
import { type GatewayProcess, makeDataDir, removeDataDir, startGatewayProcess } from "./harness/gateway-process.ts";
import { jsonAnswer } from "./harness/provider-answers.ts";
import { type RawAnswer, sendRaw } from "./harness/raw-request.ts";
import { generateKey, spendRows } from "./harness/spend.ts";

const masterKey = "sk-master-of-the-tests";
/** What one call costs, US dollars: five output tokens; input is free, so that estimates are exact. */
const cost = 0.005;

/** A refusal answers like calls for a moment without another question to accounting. */
const refusalMemoryMs = 300;

/** What a prompt says whose answer the provider keeps back until a test lets go of it. */
const keptBack = "keep this back";

/** A provider whose answers have five tokens. */
async function provider({ body }: RecordedRequest, letGo: Promise<void>) {
  if (body.includes(keptBack)) await letGo;
  const { model } = JSON.parse(body.toString());
  const choices = [{ index: 0, message: { role: "assistant", content: "Hello" }, finish_reason: "stop" }];
  const usage = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 };
  const answer = { id: "chatcmpl-1", object: "chat.completion", created: 1, model, choices, usage };
  return { ...jsonAnswer(answer), delayMs: 5 };
}

const configuration = (address: string) =>
  `model_list:\n${["small", "large", "other"]
    .map(
      (name) => `  - model_name: ${name}
    litellm_params: { model: openai/${name}-upstream, api_base: ${address}/v1, api_key: k, input_cost_per_token: 0, output_cost_per_token: 0.001 }
`,
    )
    .join("")}`;

/** Every level that can refuse a call, through the whole gateway. */
describe("what keys, users, teams, customers and tags may consume", { concurrency: 8 }, () => {
  let gateway: GatewayProcess;
  let upstream: FakeUpstream;
  let dataDir: string;
  const letGo = Promise.withResolvers<void>();
  before(async () => {
    dataDir = await makeDataDir();
    upstream = await startFakeUpstream((request) => provider(request, letGo.promise));
    const config = join(dataDir, "config.yaml");
    await writeFile(config, configuration(upstream.url));
    const env = { CONFIG_FILE_PATH: config };
    gateway = await startGatewayProcess({ entry: "services/main.ts", env, dataDir, masterKey });
  });
  after(async () => {
    await gateway?.stop();
    await upstream?.close();
    await removeDataDir(dataDir);
  });

  async function admin(path: string, body: object): Promise<Record<string, unknown>> {
    const response = await gateway.request(path, { body });
    const text = await response.text();
    assert.equal(response.status, 200, `${path}: ${text}`);
    return JSON.parse(text);
  }

  function call(key: string, model = "small", members: object = {}): Promise<RawAnswer> {
    const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
    const body = { model, max_tokens: 5, messages: [{ role: "user", content: "Hello!" }], ...members };
    return sendRaw(`${gateway.url}/v1/chat/completions`, { headers, body: [JSON.stringify(body)] });
  }

  /** The statuses of calls that are made one after the other. */
  async function statuses(...calls: (() => Promise<RawAnswer>)[]): Promise<number[]> {
    const found: number[] = [];
    for (const make of calls) found.push((await make()).status);
    return found;
  }

  async function answered(answer: Promise<RawAnswer>): Promise<void> {
    const { status, text } = await answer;
    assert.equal(status, 200, text);
  }

  async function refusedForBudget(answer: Promise<RawAnswer>): Promise<void> {
    const { status, text } = await answer;
    assert.equal(status, 400, text);
    assert.equal(JSON.parse(text).error.type, "budget_exceeded");
    assert.match(JSON.parse(text).error.message, /Budget has been exceeded!/);
  }

  async function makeUser(userId: string, limits: object = {}): Promise<void> {
    await admin("/user/new", { user_id: userId, auto_create_key: false, ...limits });
  }

  test("a user's budget counts for all its keys", async () => {
    await makeUser("budgeted", { max_budget: 2 * cost });
    const [one, two] = [
      await generateKey(gateway, { user_id: "budgeted" }),
      await generateKey(gateway, { user_id: "budgeted" }),
    ];
    assert.deepEqual(
      await statuses(
        () => call(one),
        () => call(two),
      ),
      [200, 200],
    );
    await refusedForBudget(call(one));
    await refusedForBudget(call(two));
  });

  test("a user's budget counts for its keys in teams, a team's for all its members, a member's for its own", async () => {
    await makeUser("of-teams", { max_budget: 2 * cost });
    await makeUser("mate");
    const members = ["of-teams", "mate"].map((userId) => ({ user_id: userId, role: "user" }));
    await admin("/team/new", { team_id: "red", max_budget: 4 * cost, members_with_roles: members });
    await admin("/team/new", { team_id: "blue", team_member_budget: cost, members_with_roles: members });
    const [own, red, blue, redMate, blueMate] = [
      await generateKey(gateway, { user_id: "of-teams" }),
      await generateKey(gateway, { user_id: "of-teams", team_id: "red" }),
      await generateKey(gateway, { user_id: "of-teams", team_id: "blue" }),
      await generateKey(gateway, { user_id: "mate", team_id: "red" }),
      await generateKey(gateway, { user_id: "mate", team_id: "blue" }),
    ];
    await answered(call(red));
    await answered(call(own));
    for (const key of [own, red, blue]) await refusedForBudget(call(key));
    for (let calls = 0; calls < 3; calls += 1) await answered(call(redMate));
    await refusedForBudget(call(redMate));
    await answered(call(blueMate));
    await refusedForBudget(call(blueMate));
  });

  test("200 calls at once over two keys never spend more than their user may", async () => {
    await makeUser("crowd", { max_budget: 20 * cost });
    const keys = [
      await generateKey(gateway, { user_id: "crowd" }),
      await generateKey(gateway, { user_id: "crowd", max_budget: 1000 }),
    ];
    const answers = await Promise.all(Array.from({ length: 200 }, (_, at) => call(keys[at % 2] ?? "")));
    let paid = answers.filter(({ status }) => status === 200).length;
    assert.ok(answers.every(({ status }) => status === 200 || status === 400));
    assert.ok(paid > 0 && paid <= 20, `${paid} calls were answered`);
    // What was refused only for the sake of calls in flight is there afterwards, to the last cent.
    while (paid < 20) {
      assert.equal((await call(keys[0] ?? "")).status, 200, `after ${paid}`);
      paid += 1;
    }
    await refusedForBudget(call(keys[0] ?? ""));
    const info = await gateway.request("/user/info?user_id=crowd");
    const { user_info: user } = JSON.parse(await info.text());
    assert.ok(user.spend <= 20 * cost + 1e-9, `spent ${user.spend}`);
  });

  test("a user's requests are counted over its keys, and those of another user are not", async () => {
    await makeUser("hasty", { rpm_limit: 3 });
    const [one, two] = [
      await generateKey(gateway, { user_id: "hasty" }),
      await generateKey(gateway, { user_id: "hasty" }),
    ];
    const calls = [one, two, one, two].map((key) => () => call(key));
    assert.deepEqual(await statuses(...calls), [200, 200, 200, 429]);
    const limited = await call(one);
    assert.ok(Number(limited.headers["retry-after"]) >= 1);
    assert.match(limited.text, /user: hasty/);
    assert.equal((await call(await generateKey(gateway))).status, 200);
  });

  test("calls of a user in flight at once are bounded", async () => {
    await makeUser("parallel", { max_parallel_requests: 2 });
    const key = await generateKey(gateway, { user_id: "parallel" });
    const messages = [{ role: "user", content: keptBack }];
    const calls = Array.from({ length: 6 }, () => call(key, "small", { messages }));
    const state = { over: 0 };
    for (const each of calls) void each.then(() => (state.over += 1));
    for (let turns = 0; turns < 2000 && state.over < 4; turns += 1) await sleep(10);
    letGo.resolve();
    const found = await Promise.all(calls);
    const running = found.filter(({ status }) => status === 200).length;
    assert.ok(running >= 1 && running <= 2, `${running} calls were answered`);
    await answered(call(key));
  });

  test("a customer and a tag have budgets over all keys that name them", async () => {
    await admin("/customer/new", { user_id: "anna", max_budget: 2 * cost });
    await admin("/tag/new", { name: "campaign", max_budget: 2 * cost });
    const [one, two] = [await generateKey(gateway), await generateKey(gateway, { tags: ["campaign"] })];
    const anna = { user: "anna" };
    const tagged = { metadata: { tags: ["campaign"] } };
    assert.deepEqual(
      await statuses(
        () => call(one, "small", anna),
        () => call(two, "small", anna),
      ),
      [200, 200],
    );
    await refusedForBudget(call(one, "small", anna));
    await answered(call(one, "small", { user: "otto" }));
    // One call of `two` was the tag's first, for the key brings the tag along.
    await answered(call(one, "small", tagged));
    await refusedForBudget(call(one, "small", tagged));
    await refusedForBudget(call(two));
    await answered(call(one));
  });

  test("a customer that is blocked is refused at once, and works again when it is not", async () => {
    await admin("/customer/new", { user_id: "berta" });
    const key = await generateKey(gateway);
    const berta = () => call(key, "small", { user: "berta" });
    assert.equal((await berta()).status, 200);
    await admin("/customer/block", { user_ids: ["berta"] });
    assert.deepEqual(await statuses(berta, () => call(key)), [403, 200]);
    await admin("/customer/unblock", { user_ids: ["berta"] });
    assert.equal((await berta()).status, 200);
  });

  test("limits of one model leave the others alone", async () => {
    const key = await generateKey(gateway, {
      model_max_budget: { small: { max_budget: cost } },
      model_rpm_limit: { large: 1 },
    });
    const calls = ["small", "large", "large", "other"].map((model) => () => call(key, model));
    assert.deepEqual(await statuses(...calls), [200, 200, 429, 200]);
    await refusedForBudget(call(key, "small"));
    const user = { model_max_budget: { small: { max_budget: cost } } };
    await makeUser("one-model", user);
    const ofUser = await generateKey(gateway, { user_id: "one-model" });
    await answered(call(ofUser));
    await refusedForBudget(call(ofUser));
    await answered(call(ofUser, "large"));
  });

  test("of several windows the fullest refuses", async () => {
    const key = await generateKey(gateway, {
      max_budget: 100,
      budget_limits: [
        { budget_duration: "1h", max_budget: 10 },
        { budget_duration: "1d", max_budget: 2 * cost },
      ],
    });
    assert.deepEqual(
      await statuses(
        () => call(key),
        () => call(key),
      ),
      [200, 200],
    );
    await refusedForBudget(call(key));
  });

  test("a budget window starts anew on the second", async () => {
    const key = await generateKey(gateway, { max_budget: cost, budget_duration: "3s" });
    const windowMs = 3000;
    // Windows of seconds are aligned to the clock: begin early in one.
    const nextWindow = async () => {
      const begins = Date.now() - (Date.now() % windowMs) + windowMs;
      await sleep(begins - Date.now() + 30);
      return begins + windowMs;
    };
    const state = { seen: 0 };
    for (let windows = 0; state.seen < 2; windows += 1) {
      assert.ok(windows < 20, "no window was long enough for three calls");
      const ends = await nextWindow();
      const [first, second] = [await call(key), await call(key)];
      await sleep(ends - Date.now() - 3 * refusalMemoryMs);
      const last = await call(key);
      const lateMs = Date.now() - (ends - refusalMemoryMs);
      await sleep(refusalMemoryMs);
      // Where the machine stalled, calls may lie in another window, or the refusal is remembered into it.
      if (lateMs > 0) continue;
      assert.equal(first.status, 200, `window ${state.seen}`);
      await refusedForBudget(Promise.resolve(second));
      await refusedForBudget(Promise.resolve(last));
      state.seen += 1;
    }
    await nextWindow();
    await answered(call(key));
  });

  test("a budget's change holds for everybody who refers to it", async () => {
    await admin("/budget/new", { budget_id: "plan", max_budget: cost });
    const key = await generateKey(gateway, { budget_id: "plan" });
    await answered(call(key));
    await refusedForBudget(call(key));
    await admin("/budget/update", { budget_id: "plan", max_budget: 2 * cost });
    await sleep(refusalMemoryMs);
    await answered(call(key));
    await refusedForBudget(call(key));
  });

  test("a lowered limit holds at once for a key that is in full use", async () => {
    const key = await generateKey(gateway, { max_budget: 1000, rpm_limit: 100_000 });
    // The calls cost far less than they are estimated at, so that what is leased ahead would last for long.
    const short = { max_tokens: 4000 };
    await Promise.all(Array.from({ length: 40 }, () => call(key, "small", short)));
    await answered(call(key, "small", short));
    await admin("/key/update", { key, max_budget: cost });
    await refusedForBudget(call(key, "small", short));
    await admin("/key/update", { key, max_budget: 1000, rpm_limit: 1 });
    await sleep(refusalMemoryMs);
    assert.equal((await call(key, "small", short)).status, 429);
  });

  test("a temporary increase is there until it ends", async () => {
    const key = await generateKey(gateway, { max_budget: cost });
    await answered(call(key));
    await refusedForBudget(call(key));
    const until = Date.now() + 6000;
    const expiry = new Date(until).toISOString();
    await admin("/key/update", { key, temp_budget_increase: 1, temp_budget_expiry: expiry });
    await sleep(refusalMemoryMs);
    await answered(call(key));
    await sleep(until - Date.now());
    // The edge keeps a key for at most ten seconds before it asks again.
    const deadline = Date.now() + 12_000;
    let last = await call(key);
    while (last.status === 200 && Date.now() < deadline) {
      await sleep(500);
      last = await call(key);
    }
    await refusedForBudget(Promise.resolve(last));
  });

  test("an alias is the model that it stands for, with that model's limits", async () => {
    const key = await generateKey(gateway, { aliases: { quick: "small" }, model_rpm_limit: { small: 1 } });
    const found = await call(key, "quick");
    assert.equal(found.status, 200, found.text);
    assert.equal(JSON.parse(upstream.requests.at(-1)?.body.toString() ?? "{}").model.endsWith("-upstream"), true);
    assert.deepEqual(
      await statuses(
        () => call(key, "quick"),
        () => call(key, "small"),
        () => call(key, "large"),
      ),
      [429, 429, 200],
    );
  });

  test("a key that is narrowed to some routes, and one that may only read", async () => {
    const models = async (key: string) => (await gateway.request("/v1/models", { key })).status;
    const listing = await generateKey(gateway, { allowed_routes: ["/v1/models"] });
    assert.deepEqual([(await call(listing)).status, await models(listing)], [403, 200]);
    const calling = await generateKey(gateway, { key_type: "llm_api" });
    await answered(call(calling));
    const info = await gateway.request("/key/info", { key: calling });
    assert.equal(info.status, 403, await info.text());
    const reading = await generateKey(gateway, { key_type: "read_only" });
    assert.equal((await call(reading)).status, 403);
  });

  test("a user that is blocked takes all its keys along, and gets them back", async () => {
    await makeUser("suspect");
    const keys = [
      await generateKey(gateway, { user_id: "suspect" }),
      await generateKey(gateway, { user_id: "suspect" }),
    ];
    const both = () => statuses(...keys.map((key) => () => call(key)));
    assert.deepEqual(await both(), [200, 200]);
    await admin("/user/update", { user_id: "suspect", blocked: true });
    assert.deepEqual(await both(), [401, 401]);
    await admin("/user/update", { user_id: "suspect", blocked: false });
    assert.deepEqual(await both(), [200, 200]);
  });

  test("models of a user bound its keys", async () => {
    await makeUser("narrow", { models: ["small"] });
    const key = await generateKey(gateway, { user_id: "narrow" });
    assert.deepEqual(
      await statuses(
        () => call(key),
        () => call(key, "large"),
      ),
      [200, 401],
    );
  });

  test("what was refused left no spend row", async () => {
    const key = await generateKey(gateway, { max_budget: cost });
    await answered(call(key));
    for (let tries = 0; tries < 3; tries += 1) await refusedForBudget(call(key));
    const [row] = await spendRows(gateway, key, 1);
    assert.equal(row?.cost_nano_usd, cost * 1e9);
  });
});
