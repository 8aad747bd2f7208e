import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { AuditEntry, type AuditEntryRow } from "#chassis/audit/entry.ts";
import { verifyLog } from "#chassis/audit/verify-log.ts";
import { createSealer } from "#chassis/sealing.ts";
import { Secret } from "#chassis/secret.ts";
import { startTestDatabases } from "#chassis/testing/databases.ts";
import { ListAuditLogsRequestSchema } from "#gen/sluice/auth/v1/audit_service_pb.ts";
import { auditFilter } from "./audit-filter.ts";
import { readEnv } from "./config.ts";
import { as, generate, master, now, type Setup, setUp } from "./testing/auth-fixture.ts";

const databases = await startTestDatabases();
after(() => databases.stop());
/** The one of the fixture. */
const sealer = createSealer(new Secret("salt"));

async function entriesOf({ database }: Setup, tableName: string): Promise<AuditEntryRow[]> {
  return database.em().find(AuditEntry, { tableName }, { orderBy: { seq: "asc" } });
}

async function until(check: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!(await check())) {
    assert.ok(Date.now() < deadline, "not within 20 seconds");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

for (const { name, url } of databases.all) {
  describe(`the audit of auth on ${name}`, () => {
    test("a scheduled rotation is its own, collecting the key is the collector's, and the key itself is not shown", async () => {
      const rotation = { ...readEnv({}).rotation, intervalMs: 50 };
      const setup = await setUp(url, true, true, { rotation });
      const { keys, clock } = setup;
      const made = await generate(keys, { autoRotate: true, rotationInterval: "1h" }, master);
      clock.now = now + 3_700_000;
      await until(async () => (await entriesOf(setup, "auth.waiting_key")).length > 0);
      const [rotated] = (await entriesOf(setup, "auth.virtual_key")).filter(({ action }) => action === "rotated");
      assert.deepEqual(
        [rotated?.changedBy, rotated?.operation, rotated?.objectId],
        ["key-rotation", "key-rotation", made.tokenId],
      );
      const { key, token } = await keys.collectKey({}, as({ keyId: made.tokenId, operation: "POST /key/collect" }));
      const [waiting, collected] = await entriesOf(setup, "auth.waiting_key");
      assert.deepEqual(
        [waiting?.action, waiting?.after, collected?.action, collected?.objectId],
        ["created", { key_id: token, sealed: "sealed" }, "deleted", token],
      );
      assert.deepEqual([collected?.changedBy, collected?.operation], [made.tokenId, "POST /key/collect"]);
      const [row] = await setup.database
        .em()
        .execute<{ found: number }[]>("select count(*)::int as found from audit.log l where l::text like ?", [
          `%${key}%`,
        ]);
      assert.equal(row?.found, 0);
      await setup.close();
    });

    test("the chain is anchored while it moves and at the end, and trimmed where that is asked for", async () => {
      const setup = await setUp(url, true, true, { audit: { anchorMs: 30, retention: undefined } });
      const anchors = async () => {
        const [row] = await setup.database
          .em()
          .execute<{ found: number }[]>("select count(*)::int as found from audit.anchor");
        return row?.found ?? 0;
      };
      const before = await anchors();
      await generate(setup.keys, {}, master);
      await until(async () => (await anchors()) > before);
      await setup.close();
      const years = new Date().getUTCFullYear() + 5;
      const trimming = await setUp(url, true, true, { audit: { anchorMs: 30, retention: "1d" } });
      await generate(trimming.keys, {}, master);
      trimming.clock.now = Date.UTC(years);
      await until(async () => (await trimming.database.em().count(AuditEntry)) <= 1);
      trimming.clock.now = now;
      await generate(trimming.keys, {}, master);
      const report = await verifyLog(trimming.database, sealer);
      assert.equal(report.fault, undefined, report.fault?.what);
      assert.ok(report.removedTo > 0n);
      await trimming.close();
    });
  });
}

test("a date is a day, which an end includes, or a moment", () => {
  const cases: [text: string, end: string][] = [
    ["2026-01-31", "$lt 2026-02-01T00:00:00.000Z"],
    ["2026-01-31T12:00:00Z", "$lte 2026-01-31T12:00:00.000Z"],
    ["2026-01-31 12:00", "$lte 2026-01-31T12:00:00.000Z"],
    ["2026-01-31T12:00:00.5+02:00", "$lte 2026-01-31T10:00:00.500Z"],
    ["2026-01-31T12:00:00 02:00", "$lte 2026-01-31T10:00:00.000Z"],
  ];
  for (const [endDate, expected] of cases) {
    const filter = JSON.stringify(auditFilter(create(ListAuditLogsRequestSchema, { endDate })));
    assert.equal(filter, JSON.stringify({ $and: [{ at: Object.fromEntries([expected.split(" ")]) }] }), endDate);
  }
  for (const startDate of [
    "June",
    "2026-02-31",
    "2026-01-31T25:00",
    "20260131",
    "2026-01-31; drop",
    "-1",
    "2026-13-01",
  ]) {
    assert.throws(() => auditFilter(create(ListAuditLogsRequestSchema, { startDate })), /start_date/, startDate);
  }
  const odd = JSON.stringify(auditFilter(create(ListAuditLogsRequestSchema, { action: "constructor" })));
  assert.equal(odd, '{"$and":[{"action":"constructor"}]}');
});

test("retention is a duration", () => {
  assert.equal(readEnv({ SLUICE_AUDIT_RETENTION: "365d" }).audit.retention, "365d");
  assert.equal(readEnv({}).audit.retention, undefined);
  assert.throws(() => readEnv({ SLUICE_AUDIT_RETENTION: "a year" }), /SLUICE_AUDIT_RETENTION/);
});
