import type { Client } from "@connectrpc/connect";
import { type Implementation, implement } from "#chassis/service.ts";
import { InferenceService } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import { RequestService } from "#gen/sluice/inference/v1/request_service_pb.ts";
import { ModelService } from "#gen/sluice/router/v1/model_service_pb.ts";
import type { ModelCatalog } from "../model-catalog.ts";
import type { RouterCore } from "../routing/model-call.ts";
import { createCountTokens } from "./count-tokens.ts";
import { createGetModel } from "./get-model.ts";
import { createInfer } from "./infer.ts";
import { createListModels } from "./list-models.ts";
import { createListSupportedParams } from "./list-supported-params.ts";
import { createPreview } from "./preview.ts";

export function createRoutes(
  core: RouterCore,
  catalog: ModelCatalog,
  adapter: Client<typeof RequestService>,
): readonly Implementation[] {
  return [
    implement(InferenceService, { infer: createInfer(core) }),
    implement(ModelService, { listModels: createListModels(catalog), getModel: createGetModel(catalog) }),
    implement(RequestService, {
      preview: createPreview(core, adapter),
      countTokens: createCountTokens(core, adapter),
      listSupportedParams: createListSupportedParams(core, adapter),
    }),
  ];
}
