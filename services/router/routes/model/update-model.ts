import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { requireCaller } from "#chassis/access.ts";
import { type ModelService, UpdateModelResponseSchema } from "#gen/sluice/router/v1/model_service_pb.ts";
import type { AdminContext } from "../../models/admin-context.ts";
import { changeModel } from "../../models/change-model.ts";
import { invalid, readJsonObject } from "../../models/model-input.ts";

export function createUpdateModel(context: AdminContext): ServiceImpl<typeof ModelService>["updateModel"] {
  return async (request, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const info = readJsonObject("model_info", request.modelInfo);
    if (typeof info.id !== "string" || info.id === "") {
      throw invalid("model_info.id", "'model_info.id' must name the model.");
    }
    const model = await changeModel(context, caller, info.id, {
      modelName: request.modelName,
      params: readJsonObject("litellm_params", request.litellmParams),
      info,
      blocked: request.blocked,
      version: request.version,
      keepsNull: true,
    });
    return create(UpdateModelResponseSchema, { model });
  };
}
