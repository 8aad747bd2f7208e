import { type Implementation, implement } from "#chassis/service.ts";
import { AuditService } from "#gen/sluice/auth/v1/audit_service_pb.ts";
import type { RouteContext } from "../../context.ts";
import { getAuditLog } from "./get-audit-log.ts";
import { listAuditLogs } from "./list-audit-logs.ts";

export function auditRoutes(context: RouteContext): Implementation {
  return implement(AuditService, { listAuditLogs: listAuditLogs(context), getAuditLog: getAuditLog(context) });
}
