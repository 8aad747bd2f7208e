import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { requireCaller } from "#chassis/access.ts";
import { type ModelService, PatchModelResponseSchema } from "#gen/sluice/router/v1/model_service_pb.ts";
import type { AdminContext } from "../../models/admin-context.ts";
import { changeModel } from "../../models/change-model.ts";
import { readJsonObject } from "../../models/model-input.ts";

export function createPatchModel(context: AdminContext): ServiceImpl<typeof ModelService>["patchModel"] {
  return async (request, { requestHeader }) => {
    const model = await changeModel(context, requireCaller(requestHeader), request.modelId, {
      modelName: request.modelName,
      params: readJsonObject("litellm_params", request.litellmParams),
      info: readJsonObject("model_info", request.modelInfo),
      blocked: request.blocked,
      version: request.version,
      keepsNull: false,
    });
    return create(PatchModelResponseSchema, { model });
  };
}
