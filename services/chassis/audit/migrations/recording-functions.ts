import { entryEncoding } from "../encoding.ts";

/** Columns that change with every change: an update of nothing else is none. */
const bookkeeping = "{updated_at,updated_by,version}";

/** How entries come to be. */
export const recordingStatements: readonly string[] = [
  // Appends an entry. Who did it stands in the setting `sluice.actor` of the transaction; where it does not, somebody
  // works on the database by hand. The chain ends in `audit.head`, or in what this transaction has appended since.
  `create or replace function audit.append(of_table text, of_object text, what text, was jsonb, became jsonb)
  returns void language plpgsql as $$
  declare
    actor jsonb := nullif(current_setting('sluice.actor', true), '')::jsonb;
    entry audit.log%rowtype;
    latest record;
  begin
    select seq, hash into strict latest from audit.head for update;
    entry.seq := latest.seq;
    entry.prev_hash := latest.hash;
    select seq, hash into latest from audit.log where seq > entry.seq order by seq desc limit 1;
    if found then
      entry.seq := latest.seq;
      entry.prev_hash := latest.hash;
    end if;
    entry.seq := entry.seq + 1;
    entry.at := clock_timestamp();
    entry.changed_by := coalesce(actor ->> 'changed_by', 'database:' || session_user);
    entry.user_id := coalesce(actor ->> 'user_id', '');
    entry.key_id := coalesce(actor ->> 'key_id', '');
    entry.master := coalesce((actor ->> 'master')::boolean, false);
    entry.address := coalesce(actor ->> 'address', host(inet_client_addr()), '');
    entry.operation := coalesce(actor ->> 'operation', 'SQL');
    entry.table_name := of_table;
    entry.object_id := of_object;
    entry.action := what;
    entry.before := was;
    entry.after := became;
    entry.hash := sha256(convert_to(${entryEncoding("entry")}, 'UTF8'));
    insert into audit.log values (entry.*);
  end $$`,
  // A bulk load, which says so by the setting `sluice.audit_batch`, leaves one entry for each table: how many rows, and
  // a digest of all of them in their order. Both are summed up in a setting of the transaction.
  `create or replace function audit.batch_setting(of_table text) returns text language sql immutable as $$
    select 'sluice.audit_batch_' || replace(of_table, '.', '_')
  $$`,
  `create or replace function audit.count_in_batch(of_table text, of_row jsonb) returns void language plpgsql as $$
  declare
    state text := nullif(current_setting(audit.batch_setting(of_table), true), '');
  begin
    if state is null then
      insert into audit.batch values (txid_current(), of_table);
      state := '0:';
    end if;
    perform set_config(audit.batch_setting(of_table), (split_part(state, ':', 1)::bigint + 1) || ':'
      || encode(sha256(convert_to(split_part(state, ':', 2) || of_row::text, 'UTF8')), 'hex'), true);
  end $$`,
  `create or replace function audit.close_batch() returns trigger language plpgsql as $$
  declare
    state text := current_setting(audit.batch_setting(new.table_name));
  begin
    perform audit.append(new.table_name, current_setting('sluice.audit_batch'), 'loaded', null, jsonb_build_object(
      'rows', split_part(state, ':', 1)::bigint, 'sha256', split_part(state, ':', 2)));
    perform set_config(audit.batch_setting(new.table_name), '', true);
    delete from audit.batch where xid = new.xid and table_name = new.table_name;
    return null;
  end $$`,
  "drop trigger if exists close_batch on audit.batch",
  `create constraint trigger close_batch after insert on audit.batch deferrable initially deferred
    for each row execute function audit.close_batch()`,
  // The trigger of audited tables. Its argument names the columns of the primary key, with commas between them.
  `create or replace function audit.record() returns trigger language plpgsql set timezone = 'UTC' as $$
  declare
    was jsonb := case when TG_OP <> 'INSERT' then to_jsonb(old) end;
    became jsonb := case when TG_OP <> 'DELETE' then to_jsonb(new) end;
    whole jsonb := coalesce(was, became);
    what text := 'updated';
    of_object text;
    was_blocked boolean := 'true' in (was ->> 'blocked', was #>> '{doc,blocked}');
    is_blocked boolean := 'true' in (became ->> 'blocked', became #>> '{doc,blocked}');
  begin
    if coalesce(current_setting('sluice.audit_batch', true), '') <> '' then
      perform audit.count_in_batch(TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME, jsonb_build_array(TG_OP, was, became));
      return null;
    end if;
    if TG_OP = 'INSERT' then what := 'created';
    elsif TG_OP = 'DELETE' then what := 'deleted';
    elsif was - '${bookkeeping}'::text[] = became - '${bookkeeping}'::text[] then return null;
    elsif was -> 'rotation_count' is distinct from became -> 'rotation_count' then what := 'rotated';
    elsif is_blocked and was_blocked is not true then what := 'blocked';
    elsif was_blocked and is_blocked is not true then what := 'unblocked';
    end if;
    select string_agg(whole ->> name, '/' order by at) into of_object
      from unnest(string_to_array(TG_ARGV[0], ',')) with ordinality as id(name, at);
    perform audit.append(TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME, of_object, what,
      audit.masked_row(was, was), audit.masked_row(became, whole));
    return null;
  end $$`,
  `create or replace function audit.record_truncate() returns trigger language plpgsql as $$
  begin
    perform audit.append(TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME, '', 'truncated', null, null);
    return null;
  end $$`,
  // The last entry of a transaction becomes the head: the others see that there is a later one. It is deferred in its
  // turn, behind all that were deferred before, so that ten thousand entries move the head once.
  `create or replace function audit.move_head() returns trigger language plpgsql as $$
  begin
    if not exists (select from audit.log where seq = new.seq + 1) then
      update audit.head set seq = new.seq, hash = new.hash;
    end if;
    return null;
  end $$`,
  "drop trigger if exists move_head on audit.log",
  `create constraint trigger move_head after insert on audit.log deferrable initially deferred
    for each row execute function audit.move_head()`,
  // Against a slip of the hand. Whoever may drop triggers is found out by the chain and the anchors.
  `create or replace function audit.refuse() returns trigger language plpgsql as $$
  begin
    if TG_OP = 'DELETE' and TG_TABLE_NAME <> 'head' and current_setting('sluice.audit_retention', true) = 'on' then
      return old;
    end if;
    raise exception 'audit.% is append-only', TG_TABLE_NAME using errcode = 'insufficient_privilege';
  end $$`,
  ...["log", "anchor"].flatMap((table) => [
    `drop trigger if exists append_only on audit.${table}`,
    `create trigger append_only before update or delete on audit.${table}
      for each row execute function audit.refuse()`,
  ]),
  ...["log", "anchor", "head"].flatMap((table) => [
    `drop trigger if exists no_truncate on audit.${table}`,
    `create trigger no_truncate before truncate on audit.${table} for each statement execute function audit.refuse()`,
  ]),
  "drop trigger if exists stays on audit.head",
  "create trigger stays before delete on audit.head for each row execute function audit.refuse()",
];
