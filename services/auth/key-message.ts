import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { VirtualKeyRow } from "./db/entities.ts";

/** What the REST form of a key and the answer to its making have in common. */
export function keyFields(row: VirtualKeyRow) {
  return {
    keyName: row.keyName,
    keyAlias: row.keyAlias ?? undefined,
    expires: row.expiresAt == null ? undefined : timestampFromDate(row.expiresAt),
    models: row.models,
    maxBudget: row.maxBudgetNanoUsd ?? undefined,
    budgetDuration: row.budgetDuration ?? undefined,
    rpmLimit: row.rpmLimit == null ? undefined : BigInt(row.rpmLimit),
    tpmLimit: row.tpmLimit ?? undefined,
    maxParallelRequests: row.maxParallelRequests == null ? undefined : BigInt(row.maxParallelRequests),
    metadata: Buffer.from(JSON.stringify(row.metadata)),
    userId: row.userId ?? undefined,
    teamId: row.teamId ?? undefined,
    blocked: row.blocked,
    createdAt: timestampFromDate(row.createdAt),
    createdBy: row.createdBy,
    updatedAt: timestampFromDate(row.updatedAt),
  };
}
