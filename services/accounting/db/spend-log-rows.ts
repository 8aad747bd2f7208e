import { createHash } from "node:crypto";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import type { ReadUsage } from "../usage-record.ts";
import { rows } from "./statement.ts";

/** The two parts of a row, as `UsageRow` has them. */
const commonTypes = {
  day: "date",
  operation: "text",
  status: "text",
  model: "text",
  model_group: "text",
  deployment: "text",
  provider: "text",
  upstream_model: "text",
  key_id: "text",
  key_alias: "text",
  user_id: "text",
  team_id: "text",
  end_user: "text",
  lease_owner: "text",
  finish_reason: "text",
  tags: "text[]",
  stream: "boolean",
  input_audio_tokens: "bigint",
  output_audio_tokens: "bigint",
  tool_calls: "bigint",
  usage_estimated: "boolean",
  cost_state: "text",
  attempted_retries: "integer",
  attempted_fallbacks: "integer",
} as const;

const ownTypes = {
  record_id: "uuid",
  call_id: "text",
  input_tokens: "bigint",
  output_tokens: "bigint",
  cache_read_tokens: "bigint",
  cache_write_tokens: "bigint",
  cache_write_1h_tokens: "bigint",
  reasoning_tokens: "bigint",
  cost_nano_usd: "bigint",
  started_at: "timestamptz",
  ended_at: "timestamptz",
  first_payload_at: "timestamptz",
  settlements: "jsonb",
} as const;

const columns = [...Object.keys(commonTypes), ...Object.keys(ownTypes)].join(", ");

function typed(types: Readonly<Record<string, string>>): string {
  return Object.entries(types)
    .map(([name, type]) => `${name} ${type}`)
    .join(", ");
}

/**
 * Inserts records and returns the ids of those that were not there yet. Partitions for their days must exist. What records
 * have in common is sent once: the embedded database takes a third less time for a row of which it reads a third.
 */
export async function insertSpendLogs(em: SqlEntityManager, records: readonly ReadUsage[]): Promise<Set<string>> {
  const commons = new Map<string, number>();
  const own = records.map(({ row }) => {
    const common = JSON.stringify(row.common);
    const n = commons.get(common) ?? commons.size + 1;
    commons.set(common, n);
    return { n, ...row.own };
  });
  // The ids come as one text: a row for each would cost the driver more than everything else about it.
  const [inserted] = await rows<{ ids: string | null }>(
    em,
    `with inserted as (
       insert into accounting.spend_log (${columns})
       select ${columns}
       from json_to_recordset($2::json) as own(n int, ${typed(ownTypes)})
       join rows from (json_to_recordset($1::json) as (${typed(commonTypes)})) with ordinality
         as common(${Object.keys(commonTypes).join(", ")}, nth) on nth = n
       order by day, record_id
       on conflict do nothing returning record_id
     )
     select string_agg(record_id::text, ' ') as ids from inserted`,
    [`[${[...commons.keys()].join(",")}]`, JSON.stringify(own)],
  );
  return new Set(inserted?.ids?.split(" "));
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
