import { createHash } from "node:crypto";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import type { ReadUsage } from "../usage-record.ts";
import { rows } from "./statement.ts";

const columnTypes = {
  day: "date",
  record_id: "uuid",
  call_id: "text",
  operation: "text",
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
  tags: "text[]",
  stream: "boolean",
  status: "text",
  input_tokens: "bigint",
  output_tokens: "bigint",
  cache_read_tokens: "bigint",
  cache_write_tokens: "bigint",
  cache_write_1h_tokens: "bigint",
  reasoning_tokens: "bigint",
  input_audio_tokens: "bigint",
  output_audio_tokens: "bigint",
  tool_calls: "bigint",
  usage_estimated: "boolean",
  cost_nano_usd: "bigint",
  cost_state: "text",
  started_at: "timestamptz",
  ended_at: "timestamptz",
  first_payload_at: "timestamptz",
  lease_owner: "text",
  settlements: "jsonb",
  finish_reason: "text",
  attempted_retries: "integer",
  attempted_fallbacks: "integer",
} as const;

const columns = Object.keys(columnTypes).join(", ");
const typedColumns = Object.entries(columnTypes)
  .map(([name, type]) => `${name} ${type}`)
  .join(", ");

/** Inserts records and returns the ids of those that were not there yet. Partitions for their days must exist. */
export async function insertSpendLogs(em: SqlEntityManager, records: readonly ReadUsage[]): Promise<Set<string>> {
  // The ids come as one text: a row for each would cost the driver more than everything else about it.
  const [inserted] = await rows<{ ids: string | null }>(
    em,
    `with inserted as (
       insert into accounting.spend_log (${columns})
       select ${columns} from json_to_recordset($1::json) as r(${typedColumns}) order by day, record_id
       on conflict do nothing returning record_id
     )
     select string_agg(record_id::text, ' ') as ids from inserted`,
    [JSON.stringify(records.map((record) => record.row))],
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
