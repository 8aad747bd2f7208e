import { Migration } from "@mikro-orm/migrations";

/**
 * Takes the spend log apart: what calls of a key to a model have in common is a row of `spend_context`, named by its
 * digest, and a call is a narrow row of `spend_row` that points to it. Together they are the view `spend_log`, with the
 * columns of the table of that name before. The newest rows are found by their ids, which begin with the time.
 */
export class SpendRows extends Migration {
  override async up(): Promise<void> {
    await this.execute("alter table accounting.spend_log rename to spend_log_before");
    for (const statement of [spendContext, spendRow, ...spendRowIndexes]) await this.execute(statement);
    await this.execute(copyContexts);
    const days = await this.execute(
      "select distinct to_char(day, 'YYYY-MM-DD') as day from accounting.spend_log_before order by 1",
    );
    for (const { day } of days) await this.#copyDay(String(day));
    await this.execute("drop table accounting.spend_log_before");
    await this.execute(spendLog);
  }

  /** A statement for each day: the embedded database takes one that runs for a minute for a hung one. */
  async #copyDay(day: string): Promise<void> {
    await this.execute(
      `create table accounting.spend_row_${day.replaceAll("-", "")} partition of accounting.spend_row
       for values from ('${day}') to ('${day}'::date + 1)`,
    );
    await this.execute(copyRows, [day]);
  }
}

const spendContext = `create table accounting.spend_context (
  id uuid primary key,
  operation text not null,
  status text not null,
  model text not null,
  model_group text not null,
  deployment text not null,
  provider text not null,
  upstream_model text not null,
  key_id text not null,
  key_alias text not null,
  user_id text not null,
  team_id text not null,
  lease_owner text not null,
  finish_reason text not null,
  cost_state text not null,
  stream boolean not null,
  usage_estimated boolean not null,
  attempted_retries integer not null,
  attempted_fallbacks integer not null,
  scopes text[] not null
)`;

/**
 * Null stands for nothing: no text, no tokens. `key_hash` is the beginning of the digest of `key_id`. Where `settlements`
 * is null, every scope of the context was charged the call's cost and its tokens.
 */
const spendRow = `create table accounting.spend_row (
  record_id uuid not null,
  key_hash bigint not null,
  input_tokens bigint not null,
  output_tokens bigint not null,
  cost_nano_usd bigint not null,
  started_at timestamptz not null,
  ended_at timestamptz not null,
  context_id uuid not null,
  day date not null,
  call_id text not null,
  first_payload_at timestamptz,
  cache_read_tokens bigint,
  cache_write_tokens bigint,
  cache_write_1h_tokens bigint,
  reasoning_tokens bigint,
  input_audio_tokens bigint,
  output_audio_tokens bigint,
  tool_calls bigint,
  end_user text,
  tags text[],
  settlements jsonb,
  primary key (record_id, day)
) partition by range (day)`;

const spendRowIndexes = [
  "create index spend_row_key on accounting.spend_row (key_hash, record_id)",
  "create index spend_row_call on accounting.spend_row using hash (call_id)",
];

const contextColumns = `operation, status, model, model_group, deployment, provider, upstream_model, key_id, key_alias,
  user_id, team_id, lease_owner, finish_reason, cost_state, stream, usage_estimated, attempted_retries, attempted_fallbacks`;

const idBefore = `substr(encode(sha256(convert_to(row(${contextColumns})::text, 'UTF8')), 'hex'), 1, 32)::uuid`;

const copyContexts = `insert into accounting.spend_context (id, ${contextColumns}, scopes)
  select distinct ${idBefore}, ${contextColumns}, '{}'::text[] from accounting.spend_log_before`;

const copyRows = `insert into accounting.spend_row
  select record_id, ('x' || substr(encode(sha256(convert_to(key_id, 'UTF8')), 'hex'), 1, 16))::bit(64)::bigint,
    input_tokens, output_tokens, cost_nano_usd, started_at, ended_at, ${idBefore}, day, call_id, first_payload_at,
    nullif(cache_read_tokens, 0), nullif(cache_write_tokens, 0), nullif(cache_write_1h_tokens, 0),
    nullif(reasoning_tokens, 0), nullif(input_audio_tokens, 0), nullif(output_audio_tokens, 0), nullif(tool_calls, 0),
    nullif(end_user, ''), nullif(tags, '{}'), settlements
  from accounting.spend_log_before where day = ?`;

const spendLog = `create view accounting.spend_log as
  select r.day, r.record_id, r.call_id, c.operation, c.model, c.model_group, c.deployment, c.provider, c.upstream_model,
    r.key_hash, c.key_id, c.key_alias, c.user_id, c.team_id, coalesce(r.end_user, '') as end_user,
    coalesce(r.tags, '{}') as tags, c.stream, c.status, r.input_tokens, r.output_tokens,
    coalesce(r.cache_read_tokens, 0) as cache_read_tokens, coalesce(r.cache_write_tokens, 0) as cache_write_tokens,
    coalesce(r.cache_write_1h_tokens, 0) as cache_write_1h_tokens, coalesce(r.reasoning_tokens, 0) as reasoning_tokens,
    coalesce(r.input_audio_tokens, 0) as input_audio_tokens, coalesce(r.output_audio_tokens, 0) as output_audio_tokens,
    coalesce(r.tool_calls, 0) as tool_calls, c.usage_estimated, r.cost_nano_usd, c.cost_state, r.started_at, r.ended_at,
    r.first_payload_at, c.lease_owner,
    coalesce(r.settlements, (select coalesce(jsonb_agg(jsonb_build_object('scope', s.scope,
        'nano_usd', r.cost_nano_usd::text, 'tokens', (r.input_tokens + r.output_tokens + coalesce(r.cache_read_tokens, 0)
          + coalesce(r.cache_write_tokens, 0) + coalesce(r.cache_write_1h_tokens, 0))::text) order by s.nth), '[]')
      from unnest(c.scopes) with ordinality as s(scope, nth))) as settlements,
    c.finish_reason, c.attempted_retries, c.attempted_fallbacks
  from accounting.spend_row r join accounting.spend_context c on c.id = r.context_id`;
