import { defineEntity, type InferEntity, p } from "@mikro-orm/core";

/** One change, as the audit keeps it: written by the database, never by us. */
export const AuditEntry = defineEntity({
  name: "AuditEntry",
  tableName: "log",
  schema: "audit",
  properties: {
    /** From 1, without gaps. */
    seq: p.bigint().primary(),
    at: p.datetime(),
    /** On whose behalf it was: what the caller said, else its user, else its key's hash; `database:<role>` for SQL. */
    changedBy: p.text(),
    userId: p.text(),
    keyId: p.text(),
    master: p.boolean(),
    address: p.text(),
    operation: p.text(),
    /** With its schema. */
    tableName: p.text(),
    /** The primary key; several columns with slashes between them. */
    objectId: p.text(),
    action: p.text(),
    /** The row before, in JSON, secrets masked. */
    before: p.json<Record<string, unknown>>().nullable(),
    after: p.json<Record<string, unknown>>().nullable(),
    prevHash: p.uint8array(),
    hash: p.uint8array(),
  },
});
export type AuditEntryRow = InferEntity<typeof AuditEntry>;
