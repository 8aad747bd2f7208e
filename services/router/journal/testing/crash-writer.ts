import { createLogger } from "#chassis/log.ts";
import { Journal } from "../journal.ts";
import { begin, begunRecord, endedRecord } from "./records.ts";

/**
 * A process to be killed: writes to a journal without pause and says on standard output what has happened, a letter and
 * a record id a line: `e` ended, `v` void, `a` acknowledged.
 */
const [folder = "", owner = ""] = process.argv.slice(2);
const journal = new Journal({ folder, owner, log: createLogger("error"), segmentBytes: 20_000 });
process.stdout.write("ready\n");
for (let round = 0; ; round += 1) {
  const record = begunRecord();
  const call = begin(journal, record);
  const said: string[] = [];
  if (round % 5 === 0) {
    journal.void(call);
    said.push(`v ${record.recordId}`);
  } else {
    const { segment } = journal.end(call, endedRecord(record));
    await journal.flushed();
    said.push(`e ${record.recordId}`);
    if (round % 3 === 0) {
      journal.acked([endedRecord(record)], [segment]);
      said.push(`a ${record.recordId}`);
    }
  }
  await new Promise<void>((resolve) => process.stdout.write(`${said.join("\n")}\n`, () => resolve()));
}
