import { Migration } from "@mikro-orm/migrations";

/** The first schema. */
export class Initial extends Migration {
  override up(): void {
    for (const statement of statements) this.addSql(statement);
  }

  override down(): void {
    for (const table of ["health_check", "credential", "deployment", "state"]) {
      this.addSql(`drop table router.${table}`);
    }
  }
}

const stored = `
  created_at timestamptz not null,
  created_by text not null,
  updated_at timestamptz not null,
  updated_by text not null,
  version int not null`;

const statements = [
  // One row. `revision` counts the changes of the tables below; `wrapped_key` is the key that credentials are sealed
  // under, itself sealed; `checked_at` is when the last round of background checks began.
  "create table router.state (revision bigint not null, wrapped_key bytea null, checked_at timestamptz null)",
  "insert into router.state (revision) values (0)",
  `create table router.deployment (
    model_id text not null constraint deployment_pkey primary key,
    model_name text not null,
    team_id text null,
    litellm_params jsonb not null,
    sealed_params bytea null,
    model_info jsonb not null,
    blocked boolean not null,
    ${stored}
  )`,
  "create index deployment_name on router.deployment (model_name)",
  `create table router.credential (
    credential_name text not null constraint credential_pkey primary key,
    credential_info jsonb not null,
    sealed_values bytea not null,
    ${stored}
  )`,
  `create table router.health_check (
    health_check_id text not null constraint health_check_pkey primary key,
    model_id text not null,
    model_name text not null,
    healthy boolean not null,
    error_message text null,
    response_time_ms int not null,
    details jsonb not null,
    checked_by text not null,
    checked_at timestamptz not null
  )`,
  "create index health_check_model on router.health_check (model_id, checked_at desc)",
  "create index health_check_time on router.health_check (checked_at)",
];
