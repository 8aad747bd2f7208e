/**
 * What the hash of an entry is taken of, as an SQL expression over one row of `audit.log`: the text of a JSON array of
 * every column in a fixed order, behind the name of this encoding; `before` and `after` as the texts that they are. JSON
 * quotes what it holds, so that no two rows have the same text; PostgreSQL keeps `jsonb` in one form (keys sorted, numbers
 * as they were) and writes it in one form, so that the same row has the same text on every server. Times are whole
 * microseconds since the epoch, hashes are hex. The hash is SHA-256 over the text in UTF-8. `row` is an alias or a variable
 * of the code around it, never a value.
 */
export function entryEncoding(row: string): string {
  return `jsonb_build_array('sluice-audit-v1', ${row}.seq, (extract(epoch from ${row}.at) * 1000000)::bigint,
    ${row}.changed_by, ${row}.user_id, ${row}.key_id, ${row}.master, ${row}.address, ${row}.operation,
    ${row}.table_name, ${row}.object_id, ${row}.action, ${row}.before::text, ${row}.after::text,
    encode(${row}.prev_hash, 'hex'))::text`;
}

/** The `prev_hash` of the first entry: 32 zero bytes, in hex. */
export const genesisHash = "0".repeat(64);
