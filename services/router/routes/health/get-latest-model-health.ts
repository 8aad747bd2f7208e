import type { ServiceImpl } from "@connectrpc/connect";
import { databaseError } from "#chassis/database/database.ts";
import type { ModelHealthService } from "#gen/sluice/router/v1/model_health_service_pb.ts";
import { latestChecks } from "../../health/health-log.ts";
import { modelHealthView } from "../../health/health-view.ts";
import type { AdminContext } from "../../models/admin-context.ts";

export function createGetLatestModelHealth({
  sync,
}: AdminContext): ServiceImpl<typeof ModelHealthService>["getLatestModelHealth"] {
  return async () => {
    const checks = await latestChecks(sync.database).catch((error: unknown) => {
      throw databaseError(error);
    });
    const latestHealthChecks = Object.fromEntries(checks.map((check) => [check.modelId, modelHealthView(check)]));
    return { latestHealthChecks, totalModels: checks.length };
  };
}
