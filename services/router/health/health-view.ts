import { create, type JsonObject } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type ModelHealth, ModelHealthSchema } from "#gen/sluice/router/v1/model_health_service_pb.ts";
import type { HealthCheckRow } from "../db/entities.ts";
import { jsonObject } from "../masking.ts";
import { jsonBytes } from "../models/model-view.ts";

export function modelHealthView(check: HealthCheckRow): ModelHealth {
  const at = timestampFromDate(check.checkedAt);
  return create(ModelHealthSchema, {
    healthCheckId: check.healthCheckId,
    modelName: check.modelName,
    modelId: check.modelId,
    status: check.healthy ? "healthy" : "unhealthy",
    healthyCount: check.healthy ? 1 : 0,
    unhealthyCount: check.healthy ? 0 : 1,
    errorMessage: check.errorMessage ?? undefined,
    responseTimeMs: check.responseTimeMs,
    details: jsonBytes(jsonObject({ ...check.details })),
    checkedBy: check.checkedBy,
    checkedAt: at,
    createdAt: at,
  });
}

/** A deployment in the list of those that answer or do not; without `details`, its model alone. */
export function endpointView(check: HealthCheckRow, details: boolean): JsonObject {
  const params = jsonObject({ ...check.details });
  return {
    ...(details ? params : { model: params.model ?? null }),
    model_id: check.modelId,
    ...(check.errorMessage ? { error: check.errorMessage } : {}),
  };
}
