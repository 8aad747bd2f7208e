import type { ServiceImpl } from "@connectrpc/connect";
import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { ModelService } from "#gen/sluice/router/v1/model_service_pb.ts";
import type { LiveModels } from "../models/live-models.ts";

export function createGetModel(live: LiveModels): ServiceImpl<typeof ModelService>["getModel"] {
  return ({ id, callerModels, teamId }) => {
    const model = live.current.catalog.find(id, { models: callerModels, teamId });
    if (model !== undefined) return { model };
    throw gatewayError(Reason.NOT_FOUND, `The model '${id.slice(0, 256)}' does not exist`, { param: "model" });
  };
}
