import assert from "node:assert/strict";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { DescService, MessageInitShape } from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import {
  type Client,
  Code,
  ConnectError,
  createClient,
  createRouterTransport,
  type ServiceImpl,
} from "@connectrpc/connect";
import { createNoopMeter } from "@opentelemetry/api";
import { callerHeaders } from "#chassis/caller-header.ts";
import { type Database, openDatabase } from "#chassis/database/database.ts";
import { findGatewayError } from "#chassis/errors.ts";
import type { EventBus } from "#chassis/events/bus.ts";
import { createInProcessBus } from "#chassis/events/in-process.ts";
import { createLogger } from "#chassis/log.ts";
import { createLocalClient } from "#chassis/rpc/local-client.ts";
import { startTestDatabases, type TestDatabase } from "#chassis/testing/databases.ts";
import { SpendService } from "#gen/sluice/accounting/v1/spend_service_pb.ts";
import { AuthService } from "#gen/sluice/auth/v1/auth_service_pb.ts";
import { type GenerateKeyRequestSchema, KeyService } from "#gen/sluice/auth/v1/key_service_pb.ts";
import { PrincipalChangedSchema } from "#gen/sluice/auth/v1/principal_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { CallerKind } from "#gen/sluice/inference/v1/inference_pb.ts";
import { readEnv } from "./config.ts";
import { VirtualKey } from "./db/entities.ts";
import { authSchema } from "./db/schema.ts";
import { hashKey } from "./secret-key.ts";
import { createAuthService } from "./service.ts";

const now = Date.UTC(2026, 0, 31, 12);
const masterKeyHash = hashKey("sk-master");
const master = { headers: callerHeaders({ kind: "master", keyId: masterKeyHash }) };
const virtual = (keyId: string) => ({ headers: callerHeaders({ kind: "virtual", keyId }) });

interface Setup {
  readonly auth: Client<typeof AuthService>;
  readonly keys: Client<typeof KeyService>;
  readonly database: Database;
  /** Every key id that was announced. */
  readonly announced: string[];
  readonly spent: Map<string, bigint>;
  readonly bus: { connected: boolean };
  close(): Promise<void>;
}

async function setUp(url: TestDatabase["url"], spendWorks = true): Promise<Setup> {
  const log = createLogger("error", () => undefined);
  const database = await openDatabase({ url, ...authSchema, log });
  const spent = new Map<string, bigint>();
  const spend = createLocalClient(SpendService, {
    getSpend({ scopes }: { scopes: string[] }) {
      if (!spendWorks) throw new ConnectError("down", Code.Unavailable);
      return { spends: scopes.map((scope) => ({ scope, spentNanoUsd: spent.get(scope) ?? 0n })) };
    },
  });
  const inner = createInProcessBus(log);
  const bus = { connected: true };
  const events: EventBus = Object.create(inner, { connected: { get: () => bus.connected } });
  const announced: string[] = [];
  events.subscribe(PrincipalChangedSchema, ({ keyIds }) => void announced.push(...keyIds));
  const config = { ...readEnv({}), announceRetryMs: 20 };
  const meter = createNoopMeter();
  const service = createAuthService({ database, events, spend, masterKeyHash, config, log, meter, clock: () => now });
  const transport = createRouterTransport((router) => {
    for (const { service: desc, implementation } of service.implementations) {
      router.service<DescService>(desc, implementation as Partial<ServiceImpl<DescService>>);
    }
  });
  return {
    auth: createClient(AuthService, transport),
    keys: createClient(KeyService, transport),
    database,
    announced,
    spent,
    bus,
    async close() {
      await service.close();
      await database.close();
    },
  };
}

const databases = await startTestDatabases();
after(() => databases.stop());

for (const { name, url } of databases.all) {
  test(`a generated key is stored by its hash and authenticates (${name})`, async () => {
    const { auth, keys, database, announced, close } = await setUp(url);
    const made = await keys.generateKey(
      {
        keyAlias: "ci",
        duration: "1mo",
        models: ["gpt-4o", "openai/*", "gpt-4o"],
        maxBudget: 1_500_000_000n,
        budgetDuration: "30d",
        rpmLimit: 10n,
        tpmLimit: 5_000_000_000n,
        maxParallelRequests: 3n,
        metadata: Buffer.from('{"a":{"b":[1,"é\\\\u0000 is text"]}}'),
        userId: "u 1",
        teamId: "t",
      },
      master,
    );
    assert.match(made.key, /^sk-[A-Za-z0-9_-]{22}$/);
    assert.equal(made.token, hashKey(made.key));
    assert.equal(made.tokenId, made.token);
    assert.equal(made.keyName, `sk-...${made.key.slice(-4)}`);
    assert.equal(made.spend, 0n);
    assert.equal(made.createdBy, masterKeyHash);
    assert.ok(made.expires && made.createdAt);
    assert.equal(timestampDate(made.expires).toISOString(), "2026-02-28T12:00:00.000Z");
    assert.deepEqual(announced, [made.token]);

    const { principal } = await auth.authenticate({ keyHash: made.token });
    assert.ok(principal);
    assert.equal(principal.kind, CallerKind.VIRTUAL_KEY);
    assert.equal(principal.keyAlias, "ci");
    assert.deepEqual(principal.models, ["gpt-4o", "openai/*"]);
    assert.deepEqual(JSON.parse(Buffer.from(principal.metadata).toString()), { a: { b: [1, "é\\u0000 is text"] } });
    assert.deepEqual(
      principal.scopes.map(({ scope }) => scope),
      [`key:${made.token}`, "user:u 1", "team:t"],
    );
    const [own] = principal.scopes;
    assert.ok(own?.budgetStart);
    assert.equal(timestampDate(own.budgetStart).getTime(), now);
    assert.deepEqual(
      [own.maxBudgetNanoUsd, own.budgetDuration, own.rpmLimit, own.tpmLimit, own.maxParallelRequests],
      [1_500_000_000n, "30d", 10, 5_000_000_000n, 3],
    );
    const stored = JSON.stringify(await database.em().execute("select * from auth.virtual_key"));
    assert.ok(!stored.includes(made.key));
    await close();
  });

  test(`an empty request makes a key without limits, a budget of 0 is a limit (${name})`, async () => {
    const { auth, keys, close } = await setUp(url);
    const free = await keys.generateKey({ duration: "-1", spend: 0n, keyType: "default", keyAlias: "" }, master);
    const { principal } = await auth.authenticate({ keyHash: free.token });
    assert.deepEqual(
      [principal?.expiresAt, principal?.models, principal?.metadata.length, principal?.scopes.length],
      [undefined, [], 0, 1],
    );
    const own = principal?.scopes[0];
    assert.deepEqual(
      [own?.maxBudgetNanoUsd, own?.rpmLimit, own?.tpmLimit, own?.maxParallelRequests],
      [undefined, undefined, undefined, undefined],
    );
    const poor = await keys.generateKey(
      { maxBudget: 0n, rpmLimit: 0n, blocked: true, models: ["all-proxy-models"] },
      master,
    );
    const answer = await auth.authenticate({ keyHash: poor.token });
    assert.deepEqual([answer.principal?.scopes[0]?.maxBudgetNanoUsd, answer.principal?.scopes[0]?.rpmLimit], [0n, 0]);
    assert.equal(answer.principal?.blocked, true);
    assert.deepEqual(answer.principal?.models, ["*"]);
    await close();
  });

  test(`a chosen key and an alias are unique (${name})`, async () => {
    const { keys, announced, close } = await setUp(url);
    const made = await keys.generateKey({ key: "sk-chosen-by-the-user", keyAlias: "taken" }, master);
    assert.equal(made.key, "sk-chosen-by-the-user");
    announced.length = 0;
    await refused(keys.generateKey({ key: made.key }, master), Reason.CONFLICT, "key");
    const duplicate = await refused(keys.generateKey({ keyAlias: "taken" }, master), Reason.CONFLICT, "key_alias");
    assert.match(duplicate.message, /'taken'/);
    assert.deepEqual(announced, []);
    const race = await Promise.allSettled(
      Array.from({ length: 8 }, () => keys.generateKey({ keyAlias: "race" }, master)),
    );
    assert.equal(race.filter(({ status }) => status === "fulfilled").length, 1);
    await close();
  });

  test(`key info shows the spend, to the master key and to the key itself (${name})`, async () => {
    const { keys, spent, close } = await setUp(url);
    const made = await keys.generateKey({ maxBudget: 7n, metadata: Buffer.from("{}") }, master);
    spent.set(`key:${made.token}`, 5n);
    for (const [key, options, echoed] of [
      [made.key, master, made.key],
      [made.token, master, made.token],
      ["", virtual(made.token), made.token],
      [made.key, virtual(made.token), made.key],
    ] as const) {
      const { key: named, info } = await keys.getKeyInfo({ key }, options);
      assert.equal(named, echoed);
      assert.deepEqual([info?.spend, info?.maxBudget, info?.keyName], [5n, 7n, made.keyName]);
      assert.equal(Buffer.from(info?.metadata ?? []).toString(), "{}");
    }
    await refused(keys.getKeyInfo({ key: "sk-nobody-has-this" }, master), Reason.NOT_FOUND, "key");
    await refused(keys.getKeyInfo({ key: "" }, master), Reason.INVALID_REQUEST, "key");
    await refused(keys.getKeyInfo({ key: "sk-nobody-has-this" }, virtual(made.token)), Reason.PERMISSION_DENIED, "key");
    await refused(keys.getKeyInfo({ key: made.key }), Reason.PERMISSION_DENIED, "");
    await close();
  });

  test(`keys are deleted by key, hash or alias, and announced (${name})`, async () => {
    const { auth, keys, announced, close } = await setUp(url);
    const made = await Promise.all(["d1", "d2", "d3"].map((keyAlias) => keys.generateKey({ keyAlias }, master)));
    const [one, two, three] = made.map(({ key, token }) => ({ key, token }));
    assert.ok(one && two && three);
    announced.length = 0;
    const byKey = await keys.deleteKeys({ keys: [one.key, two.token, "sk-unknown-key-here"] }, master);
    assert.deepEqual(byKey.deletedKeys.toSorted(), [one.key, two.token].toSorted());
    const byAlias = await keys.deleteKeys({ keyAliases: ["d3", "nul\0"] }, master);
    assert.deepEqual(byAlias.deletedKeys, ["d3"]);
    assert.deepEqual(announced.toSorted(), [one.token, two.token, three.token].toSorted());
    for (const { token } of made) await refused(auth.authenticate({ keyHash: token }), Reason.KEY_INVALID, "key");
    await refused(keys.deleteKeys({ keys: [one.key] }, master), Reason.NOT_FOUND, "keys");
    await refused(keys.deleteKeys({}, master), Reason.INVALID_REQUEST, "keys");
    await refused(keys.deleteKeys({ keys: ["a"], keyAliases: ["b"] }, master), Reason.INVALID_REQUEST, "keys");
    await close();
  });

  test(`a change is announced when the bus is back, also by the next process (${name})`, async () => {
    const first = await setUp(url);
    first.bus.connected = false;
    const made = await first.keys.generateKey({}, master);
    assert.deepEqual(first.announced, []);
    first.bus.connected = true;
    await until(() => first.announced.includes(made.token));
    first.bus.connected = false;
    const late = await first.keys.generateKey({}, master);
    await first.close();
    const second = await setUp(url);
    await until(() => second.announced.includes(late.token));
    assert.deepEqual(await second.database.em().execute("select * from auth.outbox"), []);
    await second.close();
  });
}

const [anyDatabase] = databases.all;
assert.ok(anyDatabase);

test("the master key is known without the database, an unknown key is KEY_INVALID, a broken database UNAVAILABLE", async () => {
  const { auth, database, close } = await setUp(anyDatabase.url);
  await refused(auth.authenticate({ keyHash: hashKey("sk-unknown") }), Reason.KEY_INVALID, "key");
  await refused(auth.authenticate({ keyHash: "sk-master" }), Reason.INVALID_REQUEST, "key_hash");
  await database.close();
  const { principal } = await auth.authenticate({ keyHash: masterKeyHash });
  assert.equal(principal?.kind, CallerKind.MASTER);
  assert.deepEqual(
    principal?.scopes.map(({ scope, maxBudgetNanoUsd }) => [scope, maxBudgetNanoUsd]),
    [[`key:${masterKeyHash}`, undefined]],
  );
  await refused(auth.authenticate({ keyHash: hashKey("sk-unknown") }), Reason.UNAVAILABLE, "");
  await close();
});

test("without accounting only the spend of a key is unknown", async () => {
  const { keys, close } = await setUp(anyDatabase.url, false);
  const made = await keys.generateKey({}, master);
  await refused(keys.getKeyInfo({ key: made.key }, master), Reason.UNAVAILABLE, "");
  await close();
});

test("who is not the master key makes and deletes nothing", async () => {
  const { keys, close } = await setUp(anyDatabase.url);
  for (const options of [virtual(masterKeyHash), {}, { headers: { "x-sluice-caller-kind": "admin" } }]) {
    await refused(keys.generateKey({}, options), Reason.PERMISSION_DENIED, "");
    await refused(keys.deleteKeys({ keys: ["x"] }, options), Reason.PERMISSION_DENIED, "");
  }
  await close();
});

const nested = (levels: number) => Buffer.from(`{"a":${"[".repeat(levels)}${"]".repeat(levels)}}`);
const badRequests: [MessageInitShape<typeof GenerateKeyRequestSchema>, string][] = [
  [{ key: "sk-short" }, "key"],
  [{ key: "pk-does-not-start-right" }, "key"],
  [{ key: "sk-with a space in it" }, "key"],
  [{ key: `sk-${"x".repeat(600)}` }, "key"],
  [{ key: "sk-master" }, "key"],
  [{ duration: "soon" }, "duration"],
  [{ duration: "-5d" }, "duration"],
  [{ duration: "999999999999d" }, "duration"],
  [{ budgetDuration: "-1" }, "budget_duration"],
  [{ budgetDuration: "2mo" }, "budget_duration"],
  [{ maxBudget: -1n }, "max_budget"],
  [{ rpmLimit: -1n }, "rpm_limit"],
  [{ rpmLimit: 2n ** 31n }, "rpm_limit"],
  [{ tpmLimit: -1n }, "tpm_limit"],
  [{ tpmLimit: 2n ** 60n }, "tpm_limit"],
  [{ maxParallelRequests: -1n }, "max_parallel_requests"],
  [{ models: [""] }, "models"],
  [{ models: ["all-team-models"] }, "models"],
  [{ models: ["a\0b"] }, "models"],
  [{ models: Array.from({ length: 1001 }, (_, n) => `m${n}`) }, "models"],
  [{ keyAlias: "x".repeat(257) }, "key_alias"],
  [{ keyAlias: "line\nbreak" }, "key_alias"],
  [{ userId: "nul\0" }, "user_id"],
  [{ teamId: "\u0007" }, "team_id"],
  [{ metadata: Buffer.from("[1]") }, "metadata"],
  [{ metadata: Buffer.from("{") }, "metadata"],
  [{ metadata: Buffer.from([0xff]) }, "metadata"],
  [{ metadata: Buffer.from('{"a":"\\u0000"}') }, "metadata"],
  [{ metadata: Buffer.from('{"a\\ud800":1}') }, "metadata"],
  [{ metadata: nested(100) }, "metadata"],
  [{ metadata: nested(30_000) }, "metadata"],
  [{ metadata: Buffer.from(JSON.stringify({ a: "x".repeat(70_000) })) }, "metadata"],
  [{ spend: 1n }, "spend"],
  [{ keyType: "management" }, "key_type"],
];

test("a request that makes no sense is refused and names the field", async () => {
  const { keys, database, close } = await setUp(anyDatabase.url);
  const count = async () => database.em().count(VirtualKey);
  const before = await count();
  for (const [request, param] of badRequests) {
    await refused(keys.generateKey(request, master), Reason.INVALID_REQUEST, param);
  }
  assert.equal(await count(), before);
  await close();
});

async function refused(work: Promise<unknown>, reason: Reason, param: string): Promise<ConnectError> {
  const error = await work.then(
    () => assert.fail(`it should be refused: ${reason} ${param}`),
    (thrown: unknown) => ConnectError.from(thrown),
  );
  const detail = findGatewayError(error);
  assert.deepEqual([detail?.reason, detail?.param], [reason, param], `${error.message} ${String(error.cause)}`);
  return error;
}

async function until(check: () => boolean): Promise<void> {
  for (let tries = 0; tries < 200 && !check(); tries += 1) await sleep(20);
  assert.ok(check());
}
