import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { AuditEntry } from "#chassis/audit/entry.ts";
import { databaseError } from "#chassis/database/database.ts";
import { type AuditService, ListAuditLogsResponseSchema } from "#gen/sluice/auth/v1/audit_service_pb.ts";
import { auditFilter } from "../../audit-filter.ts";
import { auditView } from "../../audit-view.ts";
import type { RouteContext } from "../../context.ts";
import { pageFields, readOrder, readPage } from "../../page.ts";

/** Entries come in the order of their numbers: to sort by time is to sort by number, which needs no sorting. */
const columns = {
  updated_at: "seq",
  id: "seq",
  changed_by: "changedBy",
  changed_by_api_key: "keyId",
  action: "action",
  table_name: "tableName",
  object_id: "objectId",
} as const;

export function listAuditLogs({ database }: RouteContext): ServiceImpl<typeof AuditService>["listAuditLogs"] {
  return async (request) => {
    const page = readPage(request.page, request.pageSize, 10, 100);
    const usual = { by: "seq", order: "desc" } as const;
    const sortOrder = request.sortOrder || "desc";
    const orderBy = readOrder<(typeof columns)[keyof typeof columns]>(columns, "seq", request.sortBy, sortOrder, usual);
    const where = auditFilter(request);
    try {
      const options = { limit: page.limit, offset: page.offset, orderBy };
      const [rows, total] = await database.em().findAndCount(AuditEntry, where, options);
      return create(ListAuditLogsResponseSchema, {
        auditLogs: rows.map(auditView),
        ...pageFields(total, page),
      });
    } catch (error) {
      throw databaseError(error);
    }
  };
}
