/** Names whose values are credentials, whatever wrote them. The second pattern takes names out that only look like it. */
const secretName =
  "key|secret|passw|passphrase|token|credential|auth|cert|private|signature|cookie|session|callback_vars";
const harmlessName = "tokens$|^litellm_credential_name$|^allowed_openai_params$|_cost|_per_|^key_(alias|name)$";
/** Texts that are credentials, whatever they are called: common keys, tokens, PEM blocks, addresses with a password. */
const secretText =
  "(^|[^A-Za-z0-9])sk-[A-Za-z0-9_-]{16}|AKIA[A-Z0-9]{16}|AIza[A-Za-z0-9_-]{30}|gh[pousr]_[A-Za-z0-9]{20}|xox[abprs]-|Bearer [A-Za-z0-9]|eyJ[A-Za-z0-9_-]{8,}[.]|-----BEGIN|://[^/@ ]+:[^/@ ]+@";
/** Columns that hold ciphertext, wrapped keys or the like. */
const secretColumn = "sealed|wrapped|secret|passw|cipher";

/**
 * How secrets are kept out of the log: in the database, because what writes the log is there. Every function takes the
 * value as it is on the other side of the change too, so that a secret that has changed says so.
 */
export const maskingStatements: readonly string[] = [
  `create or replace function audit.hidden(value jsonb, other jsonb) returns jsonb language plpgsql immutable as $$
  begin
    if jsonb_typeof(value) in ('null', 'boolean') or value in ('""', '{}', '[]') then return value; end if;
    if starts_with(value #>> '{}', 'os.environ/') then return value; end if;
    return case when value is not distinct from other then '"****"'::jsonb else '"**** (changed)"' end;
  end $$`,
  `create or replace function audit.masked(value jsonb, other jsonb) returns jsonb language plpgsql immutable as $$
  begin
    case jsonb_typeof(value)
      when 'object' then
        return (select coalesce(jsonb_object_agg(m.key, case
            when m.key ~* '${secretName}' and m.key !~ '${harmlessName}' then audit.hidden(m.value, other -> m.key)
            else audit.masked(m.value, other -> m.key) end), '{}')
          from jsonb_each(value) as m);
      when 'array' then
        return (select coalesce(jsonb_agg(audit.masked(m.value, other -> (m.at - 1)::int) order by m.at), '[]')
          from jsonb_array_elements(value) with ordinality as m(value, at));
      when 'string' then
        return case when value #>> '{}' ~ '${secretText}' then audit.hidden(value, other) else value end;
      else return value;
    end case;
  end $$`,
  // What protobuf's JSON mapping has as Base64, as the JSON that it holds. Some JSON is none that PostgreSQL can keep.
  `create or replace function audit.opened(value jsonb) returns jsonb language plpgsql immutable as $$
  begin
    return convert_from(decode(value #>> '{}', 'base64'), 'UTF8')::jsonb;
  exception when others then
    return '"not readable"';
  end $$`,
  // A row: columns of ciphertext are not shown, free JSON is searched for secrets; `doc` is a typed document whose one
  // free member is `metadata`.
  `create or replace function audit.masked_row(value jsonb, other jsonb) returns jsonb language plpgsql immutable as $$
  declare
    shown jsonb := value;
    each record;
  begin
    for each in
      select m.key, m.value, m.key ~ '${secretColumn}' as is_secret from jsonb_each(value) as m
      where m.value <> 'null' and (jsonb_typeof(m.value) in ('object', 'array') or m.key ~ '${secretColumn}')
    loop
      if each.is_secret then
        shown := jsonb_set(shown, array[each.key], case
          when each.value is not distinct from other -> each.key then '"sealed"'::jsonb else '"sealed (changed)"' end);
      elsif each.key <> 'doc' then
        shown := jsonb_set(shown, array[each.key], audit.masked(each.value, other -> each.key));
      elsif each.value -> 'metadata' is not null then
        shown := jsonb_set(shown, '{doc,metadata}',
          audit.masked(audit.opened(each.value -> 'metadata'), audit.opened(other #> '{doc,metadata}')));
      end if;
    end loop;
    return shown;
  end $$`,
];
