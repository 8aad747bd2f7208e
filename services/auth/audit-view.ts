import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { AuditEntryRow } from "#chassis/audit/entry.ts";
import { type AuditLog, AuditLogSchema } from "#gen/sluice/auth/v1/audit_service_pb.ts";

/** LiteLLM's names of what administrators change, by the table that it is stored in here. */
const litellmNames: ReadonlyMap<string, string> = new Map([
  ["auth.virtual_key", "LiteLLM_VerificationToken"],
  ["auth.retired_key", "LiteLLM_DeprecatedVerificationToken"],
  ["auth.internal_user", "LiteLLM_UserTable"],
  ["auth.team", "LiteLLM_TeamTable"],
  ["auth.team_member", "LiteLLM_TeamMembership"],
  ["auth.organization", "LiteLLM_OrganizationTable"],
  ["auth.organization_member", "LiteLLM_OrganizationMembership"],
  ["auth.project", "LiteLLM_ProjectTable"],
  ["auth.budget", "LiteLLM_BudgetTable"],
  ["auth.customer", "LiteLLM_EndUserTable"],
  ["auth.tag", "LiteLLM_TagTable"],
  ["auth.access_group", "LiteLLM_AccessGroupTable"],
  ["router.deployment", "LiteLLM_ProxyModelTable"],
  ["router.credential", "LiteLLM_CredentialsTable"],
]);
const storedNames = new Map([...litellmNames].map(([stored, name]) => [name.toLowerCase(), stored]));

/** The stored name of a table that was given under that or LiteLLM's. A name that nobody has is its own. */
export function storedTable(name: string): string {
  return storedNames.get(name.toLowerCase()) ?? name.toLowerCase();
}

/** An entry as an administrator sees it. */
export function auditView(row: AuditEntryRow): AuditLog {
  return create(AuditLogSchema, {
    id: String(row.seq),
    updatedAt: timestampFromDate(row.at),
    changedBy: row.changedBy,
    changedByApiKey: row.keyId,
    action: row.action,
    tableName: litellmNames.get(row.tableName) ?? row.tableName,
    objectId: row.objectId,
    ...sides(row),
    userId: row.userId,
    master: row.master,
    address: row.address,
    operation: row.operation,
    hash: Buffer.from(row.hash).toString("hex"),
  });
}

function sides({ before, after }: AuditEntryRow) {
  return {
    ...(before == null ? {} : { beforeValue: Buffer.from(JSON.stringify(before)) }),
    ...(after == null ? {} : { updatedValues: Buffer.from(JSON.stringify(after)) }),
  };
}
