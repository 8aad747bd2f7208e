import assert from "node:assert/strict";
import { existsSync, readdirSync, writeSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { create, fromBinary } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import { findGatewayError } from "#chassis/errors.ts";
import { createInProcessBus } from "#chassis/events/in-process.ts";
import { createLocalClient } from "#chassis/rpc/local-client.ts";
import { LeaseRecalledSchema, QuotaService } from "#gen/sluice/accounting/v1/quota_service_pb.ts";
import { type UsageRecorded, UsageRecordedSchema, UsageStatus } from "#gen/sluice/accounting/v1/spend_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { CallerKind } from "#gen/sluice/inference/v1/inference_pb.ts";
import { CostState } from "#gen/sluice/inference/v1/usage_pb.ts";
import { Journal } from "../journal/journal.ts";
import { leftRecords } from "../journal/recovery.ts";
import { journalFolder } from "../journal/testing/records.ts";
import type { Admission, AdmissionRequest } from "./admission.ts";
import { WalletAdmitter } from "./admitter.ts";
import { type AdmissionConfig, defaultAdmissionConfig } from "./config.ts";
import {
  admissionRequest,
  callEnd,
  eventually,
  noMeter,
  oneNanoAToken,
  recordingLog,
  scopeLimits,
} from "./testing/fixtures.ts";
import { QuotaLedger } from "./testing/quota-ledger.ts";

const never = new AbortController().signal;

interface Init {
  readonly config?: Partial<AdmissionConfig>;
  readonly disk?: { full: boolean };
}

async function start(context: TestContext, { config = {}, disk = { full: false } }: Init = {}) {
  const folder = journalFolder(context);
  const { log, lines } = recordingLog();
  const time = { now: 1_700_000_000_000 };
  const clock = () => time.now;
  const ledger = new QuotaLedger(clock);
  const bus = createInProcessBus(log);
  await bus.subscribeDurable(UsageRecordedSchema, "accounting", async (batch) =>
    ledger.settle(batch.map((bytes) => fromBinary(UsageRecordedSchema, bytes))),
  );
  const owner = crypto.randomUUID();
  const write: NonNullable<ConstructorParameters<typeof Journal>[0]["write"]> = (...args) => {
    if (disk.full) throw Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC" });
    return writeSync(...args);
  };
  const admitter = new WalletAdmitter(
    {
      journalDir: folder,
      owner,
      quota: createLocalClient(QuotaService, ledger.implementation),
      events: bus,
      log,
      meter: noMeter,
      clock,
      config: { ...defaultAdmissionConfig, relayIntervalMs: 1, drainMs: 100, ...config },
    },
    new Journal({ folder, owner, log, write }),
  );
  context.after(() => admitter.close());
  const admit = async (request: AdmissionRequest, signal = never) => admitter.admit(request, { signal });
  return { folder, log, lines, time, ledger, bus, owner, admitter, admit, disk };
}

async function refusal(admission: Promise<Admission>): Promise<Reason | undefined> {
  const failure = await admission.then(
    () => assert.fail("was admitted"),
    (error: unknown) => ConnectError.from(error),
  );
  return findGatewayError(failure)?.reason;
}

test("a lease whose answer got lost blocks its key no longer than the lease lives", async (context) => {
  const { ledger, admit, time, admitter } = await start(context, { config: { leaseWaitMs: 30 } });
  const scopes = [scopeLimits("key:1", { maxBudgetNanoUsd: 1000n, maxParallelRequests: 1 })];
  const request = admissionRequest({ scopes, price: oneNanoAToken(600) });
  ledger.mute = true;
  await assert.rejects(admit(request));
  ledger.mute = false;
  const began = time.now;
  let admitted: Admission | undefined;
  for (; admitted === undefined && time.now < began + 60_000; time.now += 1000) {
    admitted = await admit(request).catch(() => undefined);
  }
  assert.ok(admitted, "refused for ever");
  assert.deepEqual(ledger.violations(), []);
  admitted.void();
  await admitter.close();
});

test("an absurd estimate is refused at once where a limit applies, and else leaves a record that can be read", async (context) => {
  const { ledger, admit, folder, owner, log } = await start(context);
  const price = { ...oneNanoAToken(100_000_000_000), outputNanoUsdPerMillion: 15_000_000_000n, choices: 0xffff_ffff };
  const limited = [scopeLimits("key:1", { maxBudgetNanoUsd: 10_000n }), scopeLimits("key:2", { tpmLimit: 10_000n })];
  for (const scope of limited) {
    const began = performance.now();
    const reason = await refusal(admit(admissionRequest({ scopes: [scope], price })));
    assert.ok(reason === Reason.BUDGET_EXCEEDED || reason === Reason.RATE_LIMITED, `${reason}`);
    // Whoever is not refused at once waits for five seconds.
    assert.ok(performance.now() - began < 4000);
  }
  assert.equal(ledger.absurd, 0);
  await admit(admissionRequest({ scopes: [scopeLimits("key:3")], price }));
  const left: UsageRecorded[] = [];
  for await (const batch of leftRecords(join(folder, owner), log)) left.push(...batch);
  assert.equal(left.length, 1);
  for (const record of left)
    assert.ok((record.cost?.nanoUsd ?? 0n) > 0n && (record.usage?.outputTokens ?? 0n) < 10n ** 12n);
});

test("a call is charged what it cost, on every scope, in exactly one row", async (context) => {
  const { ledger, admit, owner } = await start(context);
  const scopes = [scopeLimits("key:1", { maxBudgetNanoUsd: 10_000n }), scopeLimits("team:1")];
  const admission = await admit(admissionRequest({ scopes, price: oneNanoAToken(1000) }));
  assert.equal(admission.outputTokenCap, undefined);
  admission.settle(callEnd(700n));
  await eventually(() => ledger.rows.size === 1, "the row");
  const row = ledger.rows.get(admission.recordId);
  assert.equal(row?.leaseOwner, owner);
  assert.equal(row?.status, UsageStatus.SUCCESS);
  assert.equal(row?.deployment, "0123456789abcdef");
  assert.deepEqual(
    row?.settlements.map(({ scope, consumed }) => [scope, consumed?.nanoUsd, consumed?.requests, consumed?.tokens]),
    [
      ["key:1", 700n, 1n, 700n],
      ["team:1", 700n, 1n, 700n],
    ],
  );
  assert.equal(ledger.spent("key:1"), 700n);
});

test("the warm path asks nobody", async (context) => {
  const { ledger, admit } = await start(context);
  const request = admissionRequest({
    scopes: [scopeLimits("key:1", { maxBudgetNanoUsd: 10n ** 12n })],
    price: oneNanoAToken(1000),
  });
  (await admit(request)).settle(callEnd(10n));
  const leases = ledger.calls.lease;
  (await admit(request)).void();
  assert.equal(ledger.calls.lease, leases);
});

test("the master key and scopes without limits need no lease", async (context) => {
  const { ledger, admit } = await start(context);
  ledger.down = true;
  const limited = [scopeLimits("key:1", { maxBudgetNanoUsd: 1n })];
  for (const request of [
    admissionRequest({ kind: CallerKind.MASTER, scopes: limited, price: oneNanoAToken(1000) }),
    admissionRequest({ scopes: [scopeLimits("key:2")], price: oneNanoAToken(1000) }),
  ]) {
    await (await admit(request)).settle(callEnd(5n));
  }
  await eventually(() => ledger.rows.size === 2, "two rows");
});

test("200 calls at once against a budget for 10: between 1 and 10 run, spend stays below", async (context) => {
  const { ledger, admit } = await start(context);
  const request = admissionRequest({
    scopes: [scopeLimits("key:1", { maxBudgetNanoUsd: 10_000n })],
    price: oneNanoAToken(1000),
  });
  const results = await Promise.allSettled(Array.from({ length: 200 }, () => admit(request)));
  const admitted = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
  assert.equal(admitted.length, 10);
  assert.ok(ledger.calls.lease < 30, `${ledger.calls.lease} leases`);
  for (const admission of admitted) admission.settle(callEnd(1000n));
  await eventually(() => ledger.rows.size === 10, "ten rows");
  assert.equal(ledger.spent("key:1"), 10_000n);
  assert.deepEqual(ledger.violations(), []);
});

test("calls are served in the order they came, and a smaller one after a refused one still is", async (context) => {
  const { admit, time } = await start(context);
  const scopes = [scopeLimits("key:1", { maxBudgetNanoUsd: 1000n })];
  const served: string[] = [];
  const refused: string[] = [];
  const running = await admit(admissionRequest({ scopes, price: oneNanoAToken(300) }));
  const call = (name: string, tokens: number) =>
    admit(admissionRequest({ scopes, price: oneNanoAToken(tokens) })).then(
      () => served.push(name),
      () => refused.push(name),
    );
  await Promise.all([call("a", 200), call("b", 5000), call("c", 200), call("d", 6000), call("e", 100)]);
  assert.deepEqual(served, ["a", "c", "e"]);
  assert.deepEqual(refused, ["b", "d"]);
  time.now += 1;
  running.void();
});

test("a refusal is remembered for a moment, or until something comes back", async (context) => {
  const { ledger, admit, time } = await start(context);
  const scopes = [scopeLimits("key:1", { maxParallelRequests: 1 })];
  const request = admissionRequest({ scopes });
  const running = await admit(request);
  assert.equal(await refusal(admit(request)), Reason.RATE_LIMITED);
  const leases = ledger.calls.lease;
  for (let round = 0; round < 50; round += 1) assert.equal(await refusal(admit(request)), Reason.RATE_LIMITED);
  assert.equal(ledger.calls.lease, leases);
  time.now += 300;
  assert.equal(await refusal(admit(request)), Reason.RATE_LIMITED);
  assert.equal(ledger.calls.lease, leases + 1);
  running.void();
  (await admit(request)).void();
});

test("a raised limit holds for the next call, whatever was just refused", async (context) => {
  const { admit } = await start(context);
  const raised = [
    [{ maxParallelRequests: 0 }, { maxParallelRequests: 1 }],
    [{ rpmLimit: 0 }, { rpmLimit: 1 }],
    [{ tpmLimit: 5n }, { tpmLimit: 1000n }],
    [{ maxBudgetNanoUsd: 5n }, { maxBudgetNanoUsd: 1000n }],
  ];
  for (const [at, [low, high]] of raised.entries()) {
    const ask = (limits: Parameters<typeof scopeLimits>[1]) =>
      admit(
        admissionRequest({ scopes: [scopeLimits(`key:${at}`, limits)], price: oneNanoAToken(0, 100n), tokens: 100 }),
      );
    await refusal(ask(low));
    await refusal(ask(low));
    (await ask(high)).void();
  }
});

test("the rest of a budget pays for a shorter answer", async (context) => {
  const { ledger, admit, lines } = await start(context);
  const scopes = [
    scopeLimits("key:1", { maxBudgetNanoUsd: 500n }),
    scopeLimits("team:1", { maxBudgetNanoUsd: 10_000n }),
  ];
  const request = admissionRequest({ scopes, price: { ...oneNanoAToken(1000, 100n), choices: 2 } });
  const admission = await admit(request);
  assert.equal(admission.outputTokenCap, 200);
  assert.equal(await refusal(admit(request)), Reason.BUDGET_EXCEEDED);
  admission.settle(callEnd(500n));
  await eventually(() => ledger.spent("key:1") === 500n, "the charge");
  assert.equal(await refusal(admit(request)), Reason.BUDGET_EXCEEDED);
  const dear = admissionRequest({
    scopes: [scopeLimits("key:2", { maxBudgetNanoUsd: 50n })],
    price: oneNanoAToken(10, 60n),
  });
  assert.equal(await refusal(admit(dear)), Reason.BUDGET_EXCEEDED);
  await eventually(() => ledger.reserved("key:2") === 0n, "what does not help goes back");
  assert.deepEqual(lines, []);
});

test("the rest of a budget that is in the wallet already pays too", async (context) => {
  const { ledger, admit } = await start(context);
  const request = admissionRequest({
    scopes: [scopeLimits("key:1", { maxBudgetNanoUsd: 1000n })],
    price: oneNanoAToken(1000),
  });
  (await admit(request)).settle(callEnd(900n));
  const rest = await admit(request);
  assert.equal(rest.outputTokenCap, 100);
  rest.settle(callEnd(100n));
  assert.equal(await refusal(admit(request)), Reason.BUDGET_EXCEEDED);
  await eventually(() => ledger.spent("key:1") === 1000n, "the charge");
});

test("a model without a price runs on a budget, or not, as the policy says", async (context) => {
  const scopes = [scopeLimits("key:1", { maxBudgetNanoUsd: 1000n })];
  const allowing = await start(context);
  const admission = await allowing.admit(admissionRequest({ scopes, tokens: 10 }));
  admission.settle({ ...callEnd(0n), cost: { ...callEnd(0n).cost, state: CostState.UNPRICED } });
  await eventually(() => allowing.ledger.rows.size === 1, "the row");
  const refusing = await start(context, { config: { unpriced: "refuse" } });
  assert.equal(await refusal(refusing.admit(admissionRequest({ scopes, tokens: 10 }))), Reason.UNPRICED);
  (await refusing.admit(admissionRequest({ tokens: 10 }))).void();
});

test("while accounting is down the wallet is spent, then calls fail soon; afterwards they run", async (context) => {
  const { ledger, admit, time } = await start(context, { config: { leaseWaitMs: 0 } });
  const scopes = [scopeLimits("key:1", { rpmLimit: 1000 })];
  const request = admissionRequest({ scopes });
  (await admit(request)).void();
  ledger.down = true;
  (await admit(request)).void();
  assert.equal(await refusal(admit(request)), Reason.UNAVAILABLE);
  ledger.down = false;
  time.now += 1;
  (await admit(request)).void();
});

test("a waiting call whose client hangs up leaves the queue and takes nothing", async (context) => {
  const { ledger, admit } = await start(context);
  ledger.down = true;
  const hangUp = new AbortController();
  const waiting = admit(admissionRequest({ scopes: [scopeLimits("key:1", { rpmLimit: 2 })] }), hangUp.signal);
  hangUp.abort();
  await assert.rejects(waiting, /cancel/);
});

test("a recalled wallet gives its unused part back at once", async (context) => {
  const { ledger, bus, admit, owner } = await start(context);
  const scopes = [scopeLimits("key:1", { maxBudgetNanoUsd: 100_000n, maxParallelRequests: 50 })];
  const request = admissionRequest({ scopes, price: oneNanoAToken(1000) });
  const running = await admit(request);
  assert.ok(ledger.reserved("key:1") > 1000n);
  bus.publish(LeaseRecalledSchema, create(LeaseRecalledSchema, { scope: "key:1", owner }));
  await new Promise((resolve) => setTimeout(resolve, 5));
  assert.ok(ledger.reserved("key:1") > 1000n);
  bus.publish(LeaseRecalledSchema, create(LeaseRecalledSchema, { scope: "key:1", owner: "another" }));
  await eventually(() => ledger.reserved("key:1") === 1000n && ledger.slots("key:1") === 1, "the return");
  running.settle(callEnd(400n));
  await eventually(() => ledger.spent("key:1") === 400n, "the charge");
});

test("a full disk refuses calls and loses no end", async (context) => {
  const { ledger, admit, disk, lines } = await start(context);
  const running = await admit(admissionRequest());
  disk.full = true;
  assert.equal(await refusal(admit(admissionRequest())), Reason.UNAVAILABLE);
  running.settle(callEnd(5n));
  await eventually(() => ledger.rows.size === 1, "the row");
  disk.full = false;
  (await admit(admissionRequest())).void();
  assert.match(lines.join(""), /ENOSPC/);
});

test("ending a call twice is logged and charged once", async (context) => {
  const { ledger, admit, lines } = await start(context);
  const admission = await admit(admissionRequest());
  admission.settle(callEnd(5n));
  admission.settle(callEnd(5n));
  admission.void();
  await eventually(() => ledger.rows.size === 1, "the row");
  assert.equal(lines.filter((line) => line.includes("ended twice")).length, 2);
});

test("a shutdown sends everything, gives all back and leaves no folder", async (context) => {
  const config = { relayIntervalMs: 50, drainMs: 30_000 };
  const { folder, ledger, admit, admitter, owner } = await start(context, { config });
  const scopes = [scopeLimits("key:1", { maxBudgetNanoUsd: 100_000n })];
  (await admit(admissionRequest({ scopes, price: oneNanoAToken(1000) }))).settle(callEnd(5n));
  await admitter.close();
  assert.equal(ledger.rows.size, 1);
  assert.equal(ledger.scopes.get("key:1")?.leases.size, 0);
  assert.ok(!existsSync(join(folder, owner)));
  assert.equal(await refusal(admit(admissionRequest())), Reason.UNAVAILABLE);
});

test("a shutdown with a call in flight leaves its journal for the next process, which adopts it", async (context) => {
  const { folder, ledger, bus, admit, admitter, owner } = await start(context, { config: { drainMs: 10 } });
  const scopes = [scopeLimits("key:1", { maxBudgetNanoUsd: 100_000n })];
  const { recordId } = await admit(admissionRequest({ scopes, price: oneNanoAToken(1000) }));
  await admitter.close();
  assert.ok(readdirSync(folder).includes(owner));
  const { log } = recordingLog();
  const next = crypto.randomUUID();
  const heir = new WalletAdmitter(
    {
      journalDir: folder,
      owner: next,
      quota: createLocalClient(QuotaService, ledger.implementation),
      events: bus,
      log,
      meter: noMeter,
      clock: Date.now,
      config: defaultAdmissionConfig,
    },
    new Journal({ folder, owner: next, log }),
  );
  await eventually(() => !readdirSync(folder).includes(owner), "the adoption");
  assert.equal(ledger.rows.get(recordId)?.status, UsageStatus.INTERRUPTED);
  assert.equal(ledger.spent("key:1"), 1000n);
  await heir.close();
});
