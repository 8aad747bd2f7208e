import { Migration } from "@mikro-orm/migrations";

/** Users, teams and everybody else; a key's settings become a document. */
export class Tenancy extends Migration {
  override up(): void {
    for (const statement of [...keysAsDocuments, ...tables, ...indexes]) this.addSql(statement);
  }

  override down(): void {
    throw new Error("the tenancy migration cannot be undone: keys would lose settings that have no column");
  }
}

const stored = `
  doc jsonb not null,
  created_at timestamptz not null,
  created_by text not null,
  updated_at timestamptz not null,
  updated_by text not null,
  version int not null`;

/** Names and values as protobuf's JSON mapping of KeySettings has them: 64-bit numbers are texts. */
const keysAsDocuments = [
  `alter table auth.virtual_key
    add column organization_id text null,
    add column project_id text null,
    add column rotation_count int not null default 0,
    add column rotated_at timestamptz null,
    add column rotate_at timestamptz null,
    add column doc jsonb null,
    add column updated_by text null`,
  `update auth.virtual_key set updated_by = created_by, doc = jsonb_strip_nulls(jsonb_build_object(
    'keyAlias', key_alias,
    'userId', user_id,
    'teamId', team_id,
    'models', to_jsonb(models),
    'metadata', replace(encode(convert_to(metadata::text, 'UTF8'), 'base64'), chr(10), ''),
    'blocked', blocked,
    'limits', jsonb_strip_nulls(jsonb_build_object(
      'maxBudget', max_budget_nano_usd::text,
      'budgetDuration', budget_duration,
      'rpmLimit', rpm_limit::text,
      'tpmLimit', tpm_limit::text,
      'maxParallelRequests', max_parallel_requests::text
    ))
  ))`,
  `alter table auth.virtual_key
    alter column doc set not null,
    alter column updated_by set not null,
    alter column rotation_count drop default,
    drop column models,
    drop column metadata,
    drop column max_budget_nano_usd,
    drop column budget_duration,
    drop column rpm_limit,
    drop column tpm_limit,
    drop column max_parallel_requests,
    drop column blocked`,
  `alter table auth.outbox add column scopes text[] not null default '{}'`,
];

const tables = [
  `create table auth.retired_key (
  retired_key_id text not null primary key,
  key_id text not null,
  expires_at timestamptz not null
)`,
  `create table auth.deleted_key (
  id bigint generated always as identity primary key,
  key_id text not null,
  row jsonb not null,
  deleted_at timestamptz not null,
  deleted_by text not null
)`,
  `create table auth.internal_user (
  user_id text not null constraint internal_user_pkey primary key,
  user_email text null,
  user_alias text null,
  user_role text not null,
  sso_user_id text null constraint internal_user_sso unique,${stored}
)`,
  `create table auth.team (
  team_id text not null constraint team_pkey primary key,
  team_alias text null,
  organization_id text null,${stored}
)`,
  `create table auth.team_member (
  team_id text not null,
  user_id text not null,
  role text not null,${stored},
  constraint team_member_pkey primary key (team_id, user_id)
)`,
  `create table auth.organization (
  organization_id text not null constraint organization_pkey primary key,
  organization_alias text not null,${stored}
)`,
  `create table auth.organization_member (
  organization_id text not null,
  user_id text not null,
  role text not null,${stored},
  constraint organization_member_pkey primary key (organization_id, user_id)
)`,
  `create table auth.project (
  project_id text not null constraint project_pkey primary key,
  project_alias text null,
  team_id text null,${stored}
)`,
  `create table auth.budget (budget_id text not null constraint budget_pkey primary key,${stored})`,
  `create table auth.customer (customer_id text not null constraint customer_pkey primary key,${stored})`,
  `create table auth.tag (tag_name text not null constraint tag_pkey primary key,${stored})`,
  `create table auth.access_group (
  access_group_id text not null constraint access_group_pkey primary key,
  access_group_name text not null constraint access_group_name unique,${stored}
)`,
];

const indexes = [
  "create index virtual_key_created on auth.virtual_key (created_at desc, key_id)",
  "create index virtual_key_organization on auth.virtual_key (organization_id) where organization_id is not null",
  "create index virtual_key_project on auth.virtual_key (project_id) where project_id is not null",
  "create index virtual_key_rotation on auth.virtual_key (rotate_at) where rotate_at is not null",
  "create index retired_key_of on auth.retired_key (key_id)",
  "create index deleted_key_at on auth.deleted_key (deleted_at desc, id)",
  "create unique index internal_user_email on auth.internal_user (lower(user_email)) where user_email is not null",
  "create index internal_user_created on auth.internal_user (created_at desc, user_id)",
  "create index team_organization on auth.team (organization_id) where organization_id is not null",
  "create index team_created on auth.team (created_at desc, team_id)",
  "create index team_member_user on auth.team_member (user_id)",
  "create index organization_member_user on auth.organization_member (user_id)",
  "create index project_team on auth.project (team_id) where team_id is not null",
];
