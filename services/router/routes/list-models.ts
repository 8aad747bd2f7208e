import type { ServiceImpl } from "@connectrpc/connect";
import type { ModelService } from "#gen/sluice/router/v1/model_service_pb.ts";
import type { ModelCatalog } from "../model-catalog.ts";

export function createListModels(catalog: ModelCatalog): ServiceImpl<typeof ModelService>["listModels"] {
  return ({ allowedModels }) => ({ models: [...catalog.list(allowedModels)] });
}
