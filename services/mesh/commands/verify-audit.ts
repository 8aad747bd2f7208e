import { type AuditReport, type CheckedEntry, verifyLog } from "#chassis/audit/verify-log.ts";
import { ConfigurationError, type Environment } from "#chassis/environment.ts";
import { explain } from "../main-process.ts";
import { withStoredData } from "./command.ts";
import { openStoredKey } from "./stored-key.ts";

/**
 * `npm run verify-audit`: checks the audit's chain, its head and its anchors, and says what it found. With
 * `-- --anchor <seq>:<hash>`, as a log line of the gateway has them, that entry must be there with that hash too. Ends with 1
 * where something is wrong.
 */
export async function verifyAudit(args: readonly string[], environment: Environment): Promise<string> {
  const expected = readArguments(args);
  const report = await withStoredData(environment, async (context) => {
    const { key, auth: database } = await openStoredKey(context);
    const found = await verifyLog(database, key);
    if (expected === undefined || found.fault !== undefined) return found;
    const [row] = await database
      .em()
      .execute<{ hash: string }[]>("select encode(hash, 'hex') as hash from audit.log where seq = ?", [expected.seq]);
    if (row?.hash === expected.hash) return found;
    const what = row === undefined ? "it is not there, and was noted" : "it is not the entry that was noted";
    return { ...found, fault: { seq: expected.seq, what } };
  });
  return describe(report);
}

function readArguments(args: readonly string[]): { readonly seq: bigint; readonly hash: string } | undefined {
  if (args.length === 0) return undefined;
  const [, seq, hash] = /^(\d{1,18}):([0-9a-f]{64})$/.exec(args[0] === "--anchor" ? (args[1] ?? "") : "") ?? [];
  if (args.length === 2 && seq !== undefined && hash !== undefined) return { seq: BigInt(seq), hash };
  throw new ConfigurationError("There is one option: --anchor <seq>:<hash>, as the gateway's log has them.");
}

/** @throws ConfigurationError that tells the fault. */
function describe(report: AuditReport): string {
  const { entries, first, last, lastHash, anchors, anchoredTo, removedTo, fault } = report;
  const lines = [
    `${entries} entries checked${first && last ? `: ${point(first)} to ${point(last)}` : ""}.`,
    ...(removedTo > 0n ? [`Retention has removed the entries up to ${removedTo}.`] : []),
    `${anchors} anchors checked; the chain is anchored up to entry ${anchoredTo}.`,
  ];
  if (fault !== undefined)
    throw new ConfigurationError([`Entry ${fault.seq}: ${fault.what}.`, "", ...lines].join("\n"));
  return [...lines, `The chain is whole. It ends with ${last?.seq ?? removedTo}:${lastHash}`, ""].join("\n");
}

function point({ seq, at }: CheckedEntry): string {
  return `${seq} (${at.toISOString()})`;
}

if (import.meta.main) {
  await explain(
    async () => void process.stdout.write(await verifyAudit(process.argv.slice(2), process.env)),
    "The audit is not in order.",
  );
}
