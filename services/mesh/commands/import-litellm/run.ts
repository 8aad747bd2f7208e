import type { JsonObject } from "@bufbuild/protobuf";
import { type ImportedSpend, importSpend } from "../../../accounting/import-spend.ts";
import { importRetiredKeys, importRows } from "../../../auth/import/import-rows.ts";

import { takenKeys } from "../../../auth/import/taken-keys.ts";
import { importCredentials, importModels } from "../../../router/models/import-models.ts";
import { dateOf } from "./fields.ts";
import { keys } from "./keys.ts";
import { credentialTable, modelTable, type ReadModel, readCredential, readModel, requireReadable } from "./models.ts";
import { accessGroups, budgets, customers, tags } from "./named-limits.ts";
import { reportOthers } from "./others.ts";
import { organizationMembers, organizations, projects, users } from "./people.ts";
import type { Source } from "./source.ts";
import { readWindowSpend } from "./spend.ts";
import { nanoOf, type Reading, type Spend, type Step } from "./step.ts";
import type { ImportTarget } from "./target.ts";
import { teamMembers, teams } from "./teams.ts";

/** What one transaction takes at most. */
const batchSize = 500;

/**
 * Takes everything, in an order in which whoever is referred to comes first. Every batch is a transaction by itself: an
 * import that was broken off is begun again, and finds what it has done.
 */
export async function runImport(source: Source, target: ImportTarget): Promise<void> {
  const { unseal, hasKeys, leaveUnreadable } = target.reading;
  if (!leaveUnreadable) await requireReadable(source, unseal, hasKeys);
  // Before anything is written: where the gateway's own key is the wrong one, nothing is.
  if (!target.dryRun) await target.models.sealer();
  await runStep(source, target, budgets);
  await runStep(source, target, accessGroups);
  await runStep(source, target, organizations);
  await runStep(source, target, users);
  await runStep(source, target, organizationMembers);
  await runStep(source, target, teams);
  await runStep(source, target, teamMembers);
  await runStep(source, target, projects);
  await runStep(source, target, customers);
  await runStep(source, target, tags);
  await runStep(source, target, keys);
  await reportGoneKeys(source, target);
  await runRetiredKeys(source, target);
  await runWindowSpend(source, target);
  await runCredentials(source, target);
  await runModels(source, target);
  await reportOthers(source, target.report);
}

async function runStep<Row extends Parameters<typeof importRows>[2][number], Context>(
  source: Source,
  target: ImportTarget,
  step: Step<Row, Context>,
): Promise<void> {
  for await (const page of source.pages(step.table, step.key)) {
    const context = await step.prepare(source, page);
    const readings = page.flatMap((row) => step.read(row, context, target.now));
    for (let from = 0; from < readings.length; from += batchSize) {
      await takeBatch(target, step, readings.slice(from, from + batchSize));
    }
  }
}

async function takeBatch<Row extends Parameters<typeof importRows>[2][number], Context>(
  { auth, accounting, dryRun, report }: ImportTarget,
  { label, kind }: Step<Row, Context>,
  readings: readonly Reading<Row>[],
): Promise<void> {
  const wanted = readings.flatMap((reading) => {
    if (!("leftBecause" in reading.row)) return [{ ...reading, row: reading.row }];
    report.leftRow(label, reading.name, reading.row.leftBecause);
    return [];
  });
  const outcomes = await importRows(
    auth,
    kind,
    wanted.map(({ row }) => row),
    dryRun,
  );
  const spends: ImportedSpend[] = [];
  for (const [at, { scope, fate, taken }] of outcomes.entries()) {
    const reading = wanted[at];
    if (reading === undefined) continue;
    const conflicts = taken.map((field) => ({ field, reason: "is somebody else's already: left out" }));
    report.row(label, reading.name, fate, [...reading.left, ...conflicts]);
    // What a thing of another origin spends is its own.
    if (fate === "deleted" || fate === "occupied" || reading.spend === undefined) continue;
    const spend = spendOf(scope, reading.spend);
    if (spend === undefined) report.leftField(label, reading.name, { field: "spend", reason: "is no amount" });
    else spends.push(spend);
  }
  await takeSpends(accounting, report, spends, dryRun);
}

function spendOf(scope: string, { spend, window }: Spend): ImportedSpend | undefined {
  const spentNanoUsd = nanoOf(spend);
  if (spentNanoUsd === undefined) return undefined;
  return { scope, spentNanoUsd, budgetDuration: window.duration ?? "", windowEndMs: window.resetAt?.getTime() };
}

async function takeSpends(
  accounting: ImportTarget["accounting"],
  report: ImportTarget["report"],
  spends: readonly ImportedSpend[],
  dryRun: boolean,
): Promise<void> {
  const spent = spends.filter(({ spentNanoUsd, windowEndMs }) => spentNanoUsd !== 0n || windowEndMs !== undefined);
  const changed = await importSpend(accounting, spends, dryRun);
  const counts = report.counts("spend totals");
  counts.created += changed.size;
  counts.unchanged += spent.filter(({ scope }) => !changed.has(scope)).length;
}

/** Keys are never taken away here: one that was leaked, and deleted there, somebody has to delete here. */
async function reportGoneKeys(source: Source, { auth, report }: ImportTarget): Promise<void> {
  for await (const page of takenKeys(auth)) {
    const found = await source.rowsOf(
      keys.table,
      "token",
      page.map(({ keyId }) => keyId),
    );
    const there = new Set(found.map(({ token }) => token));
    for (const { keyId, name } of page) {
      if (there.has(keyId)) continue;
      report.leftField(keys.label, name, {
        field: "",
        reason: "is no longer at LiteLLM and works here still: delete it",
      });
    }
  }
}

async function runRetiredKeys(source: Source, { auth, dryRun, now, report }: ImportTarget): Promise<void> {
  for await (const page of source.pages("LiteLLM_DeprecatedVerificationToken", ["id"])) {
    const rows = page.flatMap((row) => {
      const expiresAt = dateOf(row.revoke_at);
      if (expiresAt === undefined || expiresAt <= now) return [];
      return [{ retiredKeyId: String(row.token), keyId: String(row.active_token_id), expiresAt }];
    });
    const taken = await importRetiredKeys(auth, rows, dryRun);
    const counts = report.counts("replaced keys");
    counts.created += taken;
    counts.unchanged += rows.length - taken;
    if (page.length > rows.length) {
      report.leftRows("replaced keys", page.length - rows.length, "the grace period is over");
    }
  }
}

/** What was spent in the further windows of keys and teams. */
async function runWindowSpend(source: Source, { accounting, dryRun, report }: ImportTarget): Promise<void> {
  const key = ["entity_type", "entity_id", "window_duration", "window_start"];
  for await (const page of source.pages("LiteLLM_BudgetWindowSpend", key)) {
    // Of several windows of one length, the last is the current one.
    const current = new Map(page.flatMap((row) => readWindowSpend(row) ?? []).map((spend) => [spend.scope, spend]));
    await takeSpends(accounting, report, [...current.values()], dryRun);
  }
}

async function runCredentials(source: Source, { models, reading, now, report }: ImportTarget): Promise<void> {
  for await (const page of source.pages(credentialTable.table, credentialTable.key)) {
    const rows = wantedOf(
      "credentials",
      page.map((row) => readCredential(row, reading.unseal, now)),
      report,
    );
    const fates = await importCredentials(
      models,
      rows.map(({ row }) => row),
    );
    for (const [at, fate] of fates.entries())
      report.row("credentials", rows[at]?.name ?? "", fate, rows[at]?.left ?? []);
  }
}

async function runModels(source: Source, { models, reading, now, report }: ImportTarget): Promise<void> {
  for await (const page of source.pages(modelTable.table, modelTable.key)) {
    const rows = wantedOf(
      "models",
      page.map((row: JsonObject) => readModel(row, reading.unseal, reading.check, now)),
      report,
    );
    const fates = await importModels(
      models,
      rows.map(({ row }) => row),
    );
    for (const [at, fate] of fates.entries()) report.row("models", rows[at]?.name ?? "", fate, rows[at]?.left ?? []);
  }
}

function wantedOf<T extends object>(label: string, all: readonly ReadModel<T>[], report: ImportTarget["report"]) {
  return all.flatMap((each) => {
    if (!("leftBecause" in each.row)) return [{ ...each, row: each.row }];
    report.leftRow(label, each.name, String(each.row.leftBecause));
    return [];
  });
}
