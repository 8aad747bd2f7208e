import type { ServiceImpl } from "@connectrpc/connect";
import { databaseError } from "#chassis/database/database.ts";
import type { ModelHealthService } from "#gen/sluice/router/v1/model_health_service_pb.ts";
import { pastChecks } from "../../health/health-log.ts";
import { modelHealthView } from "../../health/health-view.ts";
import type { AdminContext } from "../../models/admin-context.ts";
import { invalid } from "../../models/model-input.ts";

const defaultLimit = 100;

export function createListModelHealth({
  sync,
}: AdminContext): ServiceImpl<typeof ModelHealthService>["listModelHealth"] {
  return async ({ model, statusFilter, limit = defaultLimit, offset = 0 }) => {
    if (statusFilter && statusFilter !== "healthy" && statusFilter !== "unhealthy") {
      throw invalid("status_filter", "status_filter must be healthy or unhealthy.");
    }
    if (limit < 1) throw invalid("limit", "limit must be at least 1.");
    const healthy = statusFilter ? statusFilter === "healthy" : undefined;
    const filter = { modelName: model || undefined, healthy, limit, offset };
    const [checks, totalRecords] = await pastChecks(sync.database, filter).catch((error: unknown) => {
      throw databaseError(error);
    });
    return { healthChecks: checks.map(modelHealthView), totalRecords, limit, offset };
  };
}
