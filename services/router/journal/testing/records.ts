import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { uuidv7 } from "uuidv7";
import type { Logger } from "#chassis/log.ts";
import { type UsageRecorded, UsageRecordedSchema, UsageStatus } from "#gen/sluice/accounting/v1/spend_pb.ts";
import type { Journal } from "../journal.ts";
import { leftRecords } from "../recovery.ts";
import type { OpenCall } from "../segment.ts";

/** A folder that is removed when the test ends. */
export function journalFolder(context: { after(done: () => void): void }): string {
  const folder = mkdtempSync(join(tmpdir(), "journal-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** The record of a call that has begun. */
export function begunRecord(): UsageRecorded {
  return create(UsageRecordedSchema, {
    recordId: uuidv7(),
    model: "gpt-4o",
    status: UsageStatus.INTERRUPTED,
    settlements: [{ scope: "key:a", consumed: { nanoUsd: 1000n, requests: 1n } }],
  });
}

/** Has the journal take a call that begins with such a record. */
export function begin(journal: Journal, record: UsageRecorded): OpenCall {
  return journal.begin(record.recordId, toBinary(UsageRecordedSchema, record));
}

/** The same call, ended, as the journal takes it. */
export function endedRecord(begun: UsageRecorded): Buffer {
  return Buffer.from(toBinary(UsageRecordedSchema, { ...begun, status: UsageStatus.SUCCESS }));
}

/** Everything that a dead process left, by record id. */
export async function readLeft(path: string, log: Logger, onDamage?: () => void): Promise<Map<string, UsageRecorded>> {
  const left = new Map<string, UsageRecorded>();
  for await (const batch of leftRecords(path, log, onDamage)) {
    for (const record of batch) left.set(record.recordId, record);
  }
  return left;
}
