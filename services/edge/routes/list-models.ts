import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Client } from "@connectrpc/connect";
import type { Principal } from "#gen/sluice/auth/v1/principal_pb.ts";
import type { Model } from "#gen/sluice/router/v1/model_pb.ts";
import type { ModelService } from "#gen/sluice/router/v1/model_service_pb.ts";
import type { HttpCall } from "../http-call.ts";

/**
 * https://platform.openai.com/docs/api-reference/models/list, narrowed to what the key may use. Clients of Anthropic's,
 * which say so in a header, get https://platform.claude.com/docs/en/api/models/list, on one page.
 */
export function listModels(models: Client<typeof ModelService>, timeoutMs: number) {
  return async (call: HttpCall, principal: Principal): Promise<void> => {
    const options = { signal: call.signal, timeoutMs };
    const response = await models.listModels({ allowedModels: principal.models }, options);
    if (!speaksAnthropic(call)) {
      call.sendJson(200, { object: "list", data: response.models.map(toOpenAiModel) });
      return;
    }
    const data = response.models.map(toAnthropicModel);
    call.sendJson(200, { data, has_more: false, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null });
  };
}

/** Anthropic's clients send the version of its API with every call. */
export function speaksAnthropic({ request }: HttpCall): boolean {
  return request.headers["anthropic-version"] !== undefined;
}

/** Anthropic too gives the epoch to a model whose age is not known. */
export function toAnthropicModel(model: Model) {
  const created = model.createdAt === undefined ? 0 : timestampMs(model.createdAt);
  return { type: "model", id: model.id, display_name: model.id, created_at: new Date(created).toISOString() };
}

export function toOpenAiModel(model: Model) {
  const created = model.createdAt === undefined ? 0 : Math.floor(timestampMs(model.createdAt) / 1000);
  return { id: model.id, object: "model", created, owned_by: model.ownedBy };
}
