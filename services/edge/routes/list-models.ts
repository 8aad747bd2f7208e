import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Client } from "@connectrpc/connect";
import type { Principal } from "#gen/sluice/auth/v1/principal_pb.ts";
import type { Model } from "#gen/sluice/router/v1/model_pb.ts";
import type { ModelService } from "#gen/sluice/router/v1/model_service_pb.ts";
import type { HttpCall } from "../http-call.ts";

/** https://platform.openai.com/docs/api-reference/models/list, narrowed to what the key may use. */
export function listModels(models: Client<typeof ModelService>, timeoutMs: number) {
  return async (call: HttpCall, principal: Principal): Promise<void> => {
    const options = { signal: call.signal, timeoutMs };
    const response = await models.listModels({ allowedModels: principal.models }, options);
    call.sendJson(200, { object: "list", data: response.models.map(toOpenAiModel) });
  };
}

export function toOpenAiModel(model: Model) {
  const created = model.createdAt === undefined ? 0 : Math.floor(timestampMs(model.createdAt) / 1000);
  return { id: model.id, object: "model", created, owned_by: model.ownedBy };
}
