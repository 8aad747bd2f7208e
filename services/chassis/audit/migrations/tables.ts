import { genesisHash } from "../encoding.ts";

/** The tables of the audit. Each statement may run again: processes that share one session start side by side. */
export const tableStatements: readonly string[] = [
  // One row: where the chain ends. Whoever appends locks it until the end of the transaction.
  `create table if not exists audit.head (
    one boolean not null default true primary key check (one),
    seq bigint not null,
    hash bytea not null
  )`,
  `insert into audit.head (seq, hash) values (0, '\\x${genesisHash}') on conflict do nothing`,
  `create table if not exists audit.log (
    seq bigint not null primary key,
    at timestamptz not null,
    changed_by text not null,
    user_id text not null,
    key_id text not null,
    master boolean not null,
    address text not null,
    operation text not null,
    table_name text not null,
    object_id text not null,
    action text not null,
    before jsonb null,
    after jsonb null,
    prev_hash bytea not null,
    hash bytea not null
  )`,
  "create index if not exists log_at on audit.log (at)",
  "create index if not exists log_object on audit.log (object_id, seq)",
  "create index if not exists log_table on audit.log (table_name, seq)",
  "create index if not exists log_changed_by on audit.log (changed_by, seq)",
  "create index if not exists log_key on audit.log (key_id, seq)",
  `create index if not exists log_team_before on audit.log ((before ->> 'team_id'), seq)
    where before ->> 'team_id' is not null`,
  `create index if not exists log_team_after on audit.log ((after ->> 'team_id'), seq)
    where after ->> 'team_id' is not null`,
  // Bulk loads that are not committed yet: a row for each of their tables, gone when the transaction ends.
  "create table if not exists audit.batch (xid bigint not null, table_name text not null)",
  // Ends of the chain that were sealed by somebody who has a key that the database has not. A checkpoint is one up to
  // which retention has removed the entries.
  `create table if not exists audit.anchor (
    seq bigint not null,
    kind text not null check (kind in ('anchor', 'checkpoint')),
    hash bytea not null,
    at timestamptz not null,
    sealed bytea not null,
    primary key (seq, kind)
  )`,
];
