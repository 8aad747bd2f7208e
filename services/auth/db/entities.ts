import { defineEntity, type InferEntity, p } from "@mikro-orm/core";

/** One virtual key. The key itself is not stored. */
export const VirtualKey = defineEntity({
  name: "VirtualKey",
  tableName: "virtual_key",
  properties: {
    /** SHA-256 of the key, lowercase hex. */
    keyId: p.text().primary(),
    /** `sk-...` and the key's last four characters. */
    keyName: p.text(),
    keyAlias: p.text().nullable(),
    userId: p.text().nullable(),
    teamId: p.text().nullable(),
    models: p.array(),
    metadata: p.json<Record<string, unknown>>(),
    expiresAt: p.datetime().nullable(),
    maxBudgetNanoUsd: p.bigint().nullable(),
    budgetDuration: p.text().nullable(),
    rpmLimit: p.integer().nullable(),
    tpmLimit: p.bigint().nullable(),
    maxParallelRequests: p.integer().nullable(),
    blocked: p.boolean(),
    createdAt: p.datetime(),
    createdBy: p.text(),
    updatedAt: p.datetime(),
    version: p.integer(),
  },
});
export type VirtualKeyRow = InferEntity<typeof VirtualKey>;

/** A broadcast that waits to be sent: written in the transaction of the change that it announces. */
export const Outbox = defineEntity({
  name: "Outbox",
  tableName: "outbox",
  properties: {
    id: p.bigint().primary().autoincrement(),
    /** Hashes of the keys that changed. */
    keyIds: p.array(),
  },
});
