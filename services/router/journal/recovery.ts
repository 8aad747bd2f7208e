import { readdirSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { errorText, type Logger } from "#chassis/log.ts";
import { type UsageRecorded, UsageRecordedSchema } from "#gen/sluice/accounting/v1/spend_pb.ts";
import { type Frame, frameType, readSegment, recordIdOf, recordIdsOf, type SegmentEnd } from "./frame.ts";
import { segmentPattern } from "./segment.ts";

/** The most records of one batch. */
export const batchSize = 500;

interface Ledger {
  /** Acknowledged, void, or given out already. */
  readonly closed: Set<string>;
  readonly ended: Set<string>;
}

/**
 * Reads what a dead process left: every record that ended and was not acknowledged, and one with status INTERRUPTED for
 * every call that began and did not end. Two passes, a segment at a time: only ids are held in memory.
 */
export async function* leftRecords(
  path: string,
  log: Logger,
  onDamage: () => void = () => undefined,
): AsyncGenerator<UsageRecorded[]> {
  const files = readdirSync(path)
    .filter((name) => segmentPattern.test(name))
    .sort();
  const ledger: Ledger = { closed: new Set(), ended: new Set() };
  let diedAt = 0;
  for (const [at, name] of files.entries()) {
    const file = join(path, name);
    diedAt = Math.max(diedAt, statSync(file).mtimeMs);
    const end = visitFrames(await readFile(file), (frame) => note(ledger, frame));
    if (isDamage(end, at === files.length - 1)) {
      log.error("a journal segment is damaged: records in it may be lost", {
        file,
        offset: end.offset,
        unreadBytes: end.unreadBytes,
      });
      onDamage();
    }
  }
  for (const name of files) {
    const records: UsageRecorded[] = [];
    visitFrames(await readFile(join(path, name)), (frame) => {
      const record = claim(ledger, frame, diedAt, log);
      if (record !== undefined) records.push(record);
    });
    for (let at = 0; at < records.length; at += batchSize) yield records.slice(at, at + batchSize);
  }
}

function visitFrames(bytes: Buffer, visit: (frame: Frame) => void): SegmentEnd {
  const frames = readSegment(bytes);
  for (let next = frames.next(); ; next = frames.next()) {
    if (next.done === true) return next.value;
    visit(next.value);
  }
}

function note(ledger: Ledger, { type, payload }: Frame): void {
  if (type === frameType.end) ledger.ended.add(recordIdOf(payload));
  else if (type === frameType.void || type === frameType.acked)
    for (const id of recordIdsOf(payload)) ledger.closed.add(id);
}

function claim(ledger: Ledger, { type, payload, offset }: Frame, diedAt: number, log: Logger) {
  if (type !== frameType.begin && type !== frameType.end) return undefined;
  const id = recordIdOf(payload);
  if (ledger.closed.has(id) || (type === frameType.begin && ledger.ended.has(id))) return undefined;
  ledger.closed.add(id);
  try {
    const record = fromBinary(UsageRecordedSchema, payload);
    if (type === frameType.begin) record.endedAt = timestampFromMs(Math.floor(diedAt));
    return record;
  } catch (error) {
    log.error("a journal record cannot be decoded", { recordId: id, offset, error: errorText(error) });
    return undefined;
  }
}

/** A torn tail of the last segment is what a kill leaves. Anything else means that somebody must look. */
function isDamage(end: SegmentEnd, last: boolean): boolean {
  return end.state === "damaged" || (end.state === "torn" && !last);
}
