import { createHash } from "node:crypto";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import type { ReadUsage } from "../usage-record.ts";
import { int8Array, textArray, timeArray, uuidArray } from "./binary-arrays.ts";
import { isoDay } from "./partitions.ts";
import { contextId, keyHash } from "./spend-contexts.ts";
import { rows } from "./statement.ts";

/** The arrays of `columnsOf`, in the same order. */
const arrays = {
  record_id: "uuid",
  context_id: "uuid",
  key_hash: "bigint",
  call_id: "text",
  input_tokens: "bigint",
  output_tokens: "bigint",
  cost_nano_usd: "bigint",
  started_at: "timestamptz",
  ended_at: "timestamptz",
  first_payload_at: "timestamptz",
  cache_read_tokens: "bigint",
  cache_write_tokens: "bigint",
  cache_write_1h_tokens: "bigint",
  reasoning_tokens: "bigint",
  input_audio_tokens: "bigint",
  output_audio_tokens: "bigint",
  tool_calls: "bigint",
  end_user: "text",
  tags: "text",
  settlements: "text",
};
const columns = Object.keys(arrays).join(", ");
const values = Object.keys(arrays)
  .join(", ")
  .replace(
    "tags",
    `case when tags is not null then
       (select array_agg(tag order by nth) from json_array_elements_text(tags::json) with ordinality as t(tag, nth)) end`,
  )
  .replace("settlements", "settlements::jsonb");
const parameters = Object.values(arrays)
  .map((type, n) => `$${n + 2}::${type}[]`)
  .join(", ");

const insertRows = `with inserted as (
    insert into accounting.spend_row (day, ${columns})
    select $1::date, ${values} from unnest(${parameters}) as own(${columns})
    on conflict do nothing returning record_id
  )
  select string_agg(record_id::text, ' ') as ids from inserted`;

/**
 * Inserts records and returns the ids of those that were not there yet. Partitions for their days and the rows of their
 * contexts must exist. They go in the order of their ids, so that replicas that insert the same cannot wait in a circle.
 */
export async function insertSpendLogs(em: SqlEntityManager, records: readonly ReadUsage[]): Promise<Set<string>> {
  const inOrder = records.toSorted((a, b) => (a.recordId < b.recordId ? -1 : 1));
  const fresh = new Set<string>();
  for (const [day, ofDay] of Map.groupBy(inOrder, (record) => record.day)) {
    // The ids come as one text: a row for each would cost the driver more than everything else about it.
    const [inserted] = await rows<{ ids: string | null }>(em, insertRows, [
      isoDay(day * 86_400_000),
      ...columnsOf(ofDay),
    ]);
    for (const id of inserted?.ids?.split(" ") ?? []) fresh.add(id);
  }
  return fresh;
}

function columnsOf(records: readonly ReadUsage[]): Buffer[] {
  const own = records.map(({ row }) => row);
  const ids = new Map<string, { id: string; key: bigint }>();
  for (const { context, keyId } of own) {
    if (!ids.has(context)) ids.set(context, { id: contextId(context), key: keyHash(keyId) });
  }
  const found = own.map(({ context }) => ids.get(context) ?? { id: "", key: 0n });
  return [
    uuidArray(records.map((record) => record.recordId)),
    uuidArray(found.map(({ id }) => id)),
    int8Array(found.map(({ key }) => key)),
    textArray(own.map((row) => row.callId)),
    int8Array(own.map((row) => row.inputTokens)),
    int8Array(own.map((row) => row.outputTokens)),
    int8Array(records.map((record) => record.costNanoUsd)),
    timeArray(own.map((row) => row.startedAtMs)),
    timeArray(records.map((record) => record.endedAtMs)),
    timeArray(own.map((row) => row.firstPayloadAtMs)),
    int8Array(own.map((row) => row.cacheReadTokens)),
    int8Array(own.map((row) => row.cacheWriteTokens)),
    int8Array(own.map((row) => row.cacheWrite1hTokens)),
    int8Array(own.map((row) => row.reasoningTokens)),
    int8Array(own.map((row) => row.inputAudioTokens)),
    int8Array(own.map((row) => row.outputAudioTokens)),
    int8Array(own.map((row) => row.toolCalls)),
    textArray(own.map((row) => row.endUser)),
    textArray(own.map((row) => row.tags)),
    textArray(own.map((row) => row.settlements)),
  ];
}

/** Keeps an event that cannot be a row. The same event twice is kept once. */
export async function insertRejected(
  em: SqlEntityManager,
  recordId: string,
  reason: string,
  event: Uint8Array,
): Promise<void> {
  await rows(
    em,
    `insert into accounting.rejected_usage (digest, record_id, reason, event) values ($1, $2, $3, $4)
     on conflict do nothing`,
    [
      createHash("sha256").update(event).digest("hex"),
      recordId.slice(0, 200).toWellFormed().replaceAll("\0", "\uFFFD"),
      reason.slice(0, 500),
      Buffer.from(event),
    ],
  );
}
