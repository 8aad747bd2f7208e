import { Migration } from "@mikro-orm/migrations";

/**
 * The first schema. Scopes are collated by bytes, so that every process sorts them alike when it locks them. The spend
 * log is partitioned by the day in the record's id; there is no default partition, because rows in it would stand in
 * the way of the partition they belong to.
 */
export class Initial extends Migration {
  override up(): void {
    for (const statement of [spendLog, ...spendLogIndexes, ledger, lease, leaseIndex, rateBucket, rejectedUsage]) {
      this.addSql(statement);
    }
  }

  override down(): void {
    for (const table of ["rejected_usage", "rate_bucket", "lease", "ledger", "spend_log"]) {
      this.addSql(`drop table accounting.${table}`);
    }
  }
}

const spendLog = `create table accounting.spend_log (
  day date not null,
  record_id uuid not null,
  call_id text not null,
  operation text not null,
  model text not null,
  model_group text not null,
  deployment text not null,
  provider text not null,
  upstream_model text not null,
  key_id text not null,
  key_alias text not null,
  user_id text not null,
  team_id text not null,
  end_user text not null,
  tags text[] not null,
  stream boolean not null,
  status text not null,
  input_tokens bigint not null,
  output_tokens bigint not null,
  cache_read_tokens bigint not null,
  cache_write_tokens bigint not null,
  cache_write_1h_tokens bigint not null,
  reasoning_tokens bigint not null,
  input_audio_tokens bigint not null,
  output_audio_tokens bigint not null,
  tool_calls bigint not null,
  usage_estimated boolean not null,
  cost_nano_usd bigint not null,
  cost_state text not null,
  started_at timestamptz not null,
  ended_at timestamptz not null,
  first_payload_at timestamptz,
  lease_owner text not null,
  settlements jsonb not null,
  finish_reason text not null,
  attempted_retries integer not null,
  attempted_fallbacks integer not null,
  primary key (day, record_id)
) partition by range (day)`;

const spendLogIndexes = [
  "create index spend_log_key on accounting.spend_log (key_id, started_at)",
  "create index spend_log_call on accounting.spend_log (call_id)",
  "create index spend_log_started on accounting.spend_log (started_at)",
];

const ledger = `create table accounting.ledger (
  scope text collate "C" primary key,
  spent_nano_usd bigint not null default 0,
  budget_duration text not null default '',
  window_start timestamptz not null default to_timestamp(0),
  window_end timestamptz
) with (fillfactor = 50)`;

const lease = `create table accounting.lease (
  scope text collate "C" not null,
  owner text not null,
  nano_usd bigint not null check (nano_usd >= 0),
  parallel bigint not null check (parallel >= 0),
  expires_at timestamptz not null,
  primary key (scope, owner)
) with (fillfactor = 50)`;

const leaseIndex = "create index lease_owner on accounting.lease (owner)";

const rateBucket = `create table accounting.rate_bucket (
  scope text collate "C" not null,
  bucket_start timestamptz not null,
  requests bigint not null check (requests >= 0),
  tokens bigint not null check (tokens >= 0),
  primary key (scope, bucket_start)
) with (fillfactor = 50)`;

const rejectedUsage = `create table accounting.rejected_usage (
  digest text primary key,
  received_at timestamptz not null default now(),
  record_id text not null,
  reason text not null,
  event bytea not null
)`;
