/**
 * The statements that put a table under audit, for a migration of the service that owns the table: every row that is
 * made, changed or removed from then on leaves an entry in the change's own transaction, whoever makes the change. The
 * entries are written when the transaction commits, so that the lock on the end of the chain is its last.
 *
 * Columns whose names say so hold ciphertext and are not shown; `doc` is a document in protobuf's JSON mapping; any other
 * JSON is searched for secrets.
 *
 * @param table with its schema, `auth.team`.
 * @param ids the columns of the primary key.
 */
export function auditedTable(table: string, ids: readonly string[]): readonly string[] {
  return [
    `create constraint trigger audit after insert or update or delete on ${table} deferrable initially deferred
      for each row execute function audit.record('${ids.join(",")}')`,
    `create trigger audit_truncate after truncate on ${table} for each statement execute function audit.record_truncate()`,
  ];
}
