import type { ServiceImpl } from "@connectrpc/connect";
import { AuditEntry } from "#chassis/audit/entry.ts";
import { databaseError } from "#chassis/database/database.ts";
import type { AuditService } from "#gen/sluice/auth/v1/audit_service_pb.ts";
import { auditView } from "../../audit-view.ts";
import type { RouteContext } from "../../context.ts";
import { notFound } from "../../kind.ts";

const numberForm = /^[1-9][0-9]{0,17}$/;

export function getAuditLog({ database }: RouteContext): ServiceImpl<typeof AuditService>["getAuditLog"] {
  return async ({ id }) => {
    try {
      const row = numberForm.test(id) ? await database.em().findOne(AuditEntry, { seq: BigInt(id) }) : null;
      if (row === null) throw notFound({ label: "Audit log", param: "id" }, [id]);
      return { entry: auditView(row) };
    } catch (error) {
      throw databaseError(error);
    }
  };
}
