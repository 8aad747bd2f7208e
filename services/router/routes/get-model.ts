import type { ServiceImpl } from "@connectrpc/connect";
import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { ModelService } from "#gen/sluice/router/v1/model_service_pb.ts";
import type { ModelCatalog } from "../model-catalog.ts";

export function createGetModel(catalog: ModelCatalog): ServiceImpl<typeof ModelService>["getModel"] {
  return ({ id, allowedModels }) => {
    const model = catalog.find(id, allowedModels);
    if (model !== undefined) return { model };
    throw gatewayError(Reason.NOT_FOUND, `The model '${id.slice(0, 256)}' does not exist`, { param: "model" });
  };
}
