import { Migration } from "@mikro-orm/migrations";

/** The first schema. */
export class Initial extends Migration {
  override up(): void {
    this.addSql(virtualKey);
    this.addSql("create index virtual_key_user on auth.virtual_key (user_id) where user_id is not null");
    this.addSql("create index virtual_key_team on auth.virtual_key (team_id) where team_id is not null");
    this.addSql(outbox);
  }

  override down(): void {
    this.addSql("drop table auth.outbox");
    this.addSql("drop table auth.virtual_key");
  }
}

const virtualKey = `create table auth.virtual_key (
  key_id text not null constraint virtual_key_pkey primary key,
  key_name text not null,
  key_alias text null constraint virtual_key_alias unique,
  user_id text null,
  team_id text null,
  models text[] not null,
  metadata jsonb not null,
  expires_at timestamptz null,
  max_budget_nano_usd bigint null,
  budget_duration text null,
  rpm_limit int null,
  tpm_limit bigint null,
  max_parallel_requests int null,
  blocked boolean not null,
  created_at timestamptz not null,
  created_by text not null,
  updated_at timestamptz not null,
  version int not null
)`;

const outbox = `create table auth.outbox (
  id bigint generated always as identity primary key,
  key_ids text[] not null
)`;
