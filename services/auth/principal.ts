import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type Principal, PrincipalSchema } from "#gen/sluice/auth/v1/principal_pb.ts";
import { CallerKind } from "#gen/sluice/inference/v1/inference_pb.ts";
import { ScopeLimitsSchema } from "#gen/sluice/inference/v1/limits_pb.ts";
import type { VirtualKeyRow } from "./db/entities.ts";

/** LiteLLM's word for every model there is. */
const allModels = "all-proxy-models";

/** The scope that a key's own limits and spend belong to. */
export function keyScope(keyId: string): string {
  return `key:${keyId}`;
}

/** The master key: every model and no limits. Its spend is recorded like any other's. */
export function masterPrincipal(keyId: string): Principal {
  return create(PrincipalSchema, {
    kind: CallerKind.MASTER,
    keyId,
    scopes: [create(ScopeLimitsSchema, { scope: keyScope(keyId) })],
  });
}

/** What the request path needs to know of a virtual key. Users and teams have no limits of their own yet. */
export function virtualPrincipal(row: VirtualKeyRow): Principal {
  const own = create(ScopeLimitsSchema, {
    scope: keyScope(row.keyId),
    maxBudgetNanoUsd: row.maxBudgetNanoUsd ?? undefined,
    budgetDuration: row.budgetDuration ?? "",
    budgetStart: timestampFromDate(row.createdAt),
    rpmLimit: row.rpmLimit ?? undefined,
    tpmLimit: row.tpmLimit ?? undefined,
    maxParallelRequests: row.maxParallelRequests ?? undefined,
  });
  const owners = [row.userId == null ? "" : `user:${row.userId}`, row.teamId == null ? "" : `team:${row.teamId}`];
  return create(PrincipalSchema, {
    kind: CallerKind.VIRTUAL_KEY,
    keyId: row.keyId,
    keyAlias: row.keyAlias ?? "",
    userId: row.userId ?? "",
    teamId: row.teamId ?? "",
    models: row.models.map((model) => (model === allModels ? "*" : model)),
    expiresAt: row.expiresAt == null ? undefined : timestampFromDate(row.expiresAt),
    blocked: row.blocked,
    scopes: [own, ...owners.filter(Boolean).map((scope) => create(ScopeLimitsSchema, { scope }))],
    metadata: metadataBytes(row),
  });
}

/** Empty where the key has none. */
function metadataBytes({ metadata }: VirtualKeyRow): Uint8Array {
  return Object.keys(metadata).length === 0 ? new Uint8Array() : Buffer.from(JSON.stringify(metadata));
}
