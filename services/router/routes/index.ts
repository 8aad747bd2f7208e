import { type Implementation, implement } from "#chassis/service.ts";
import { InferenceService } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import { ModelService } from "#gen/sluice/router/v1/model_service_pb.ts";
import type { ModelCatalog } from "../model-catalog.ts";
import type { RouterCore } from "../routing/model-call.ts";
import { createGetModel } from "./get-model.ts";
import { createInfer } from "./infer.ts";
import { createListModels } from "./list-models.ts";

export function createRoutes(core: RouterCore, catalog: ModelCatalog): readonly Implementation[] {
  return [
    implement(InferenceService, { infer: createInfer(core) }),
    implement(ModelService, { listModels: createListModels(catalog), getModel: createGetModel(catalog) }),
  ];
}
