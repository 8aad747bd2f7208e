import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Client } from "@connectrpc/connect";
import type { Principal } from "#gen/sluice/auth/v1/principal_pb.ts";
import type { Model } from "#gen/sluice/router/v1/model_pb.ts";
import type { ModelService } from "#gen/sluice/router/v1/model_service_pb.ts";
import type { HttpCall } from "../http-call.ts";

/**
 * https://platform.openai.com/docs/api-reference/models/list, narrowed to what the key may use. Clients of Anthropic's,
 * which say so in a header, get https://platform.claude.com/docs/en/api/models/list, and Google's, by path
 * or header, https://ai.google.dev/api/models; both on one page.
 */
export function listModels(models: Client<typeof ModelService>, timeoutMs: number) {
  return async (call: HttpCall, principal: Principal): Promise<void> => {
    const options = { signal: call.signal, timeoutMs };
    const response = await models.listModels({ allowedModels: principal.models }, options);
    const data = response.models.map((model) => toModel(call, model));
    if (speaksGoogle(call)) call.sendJson(200, { models: data });
    else if (!speaksAnthropic(call)) call.sendJson(200, { object: "list", data });
    else {
      const ids = response.models.map(({ id }) => id);
      call.sendJson(200, { data, has_more: false, first_id: ids[0] ?? null, last_id: ids.at(-1) ?? null });
    }
  };
}

/** A model as the client's dialect tells it. */
export function toModel(call: HttpCall, model: Model): Record<string, unknown> {
  if (speaksGoogle(call)) return toGoogleModel(model);
  return speaksAnthropic(call) ? toAnthropicModel(model) : toOpenAiModel(model);
}

/** Google's newer clients ask below `/v1`, as OpenAI's do, with a key in a header of their own. */
function speaksGoogle({ dialect, request }: HttpCall): boolean {
  return dialect === "google" || request.headers["x-goog-api-key"] !== undefined;
}

/** Anthropic's clients send the version of its API with every call. */
function speaksAnthropic({ request }: HttpCall): boolean {
  return request.headers["anthropic-version"] !== undefined;
}

function toGoogleModel({ id }: Model) {
  const supportedGenerationMethods = ["generateContent", "streamGenerateContent", "countTokens"];
  return { name: `models/${id}`, displayName: id, supportedGenerationMethods };
}

/** Anthropic too gives the epoch to a model whose age is not known. */
function toAnthropicModel(model: Model) {
  const created = model.createdAt === undefined ? 0 : timestampMs(model.createdAt);
  return { type: "model", id: model.id, display_name: model.id, created_at: new Date(created).toISOString() };
}

function toOpenAiModel(model: Model) {
  const created = model.createdAt === undefined ? 0 : Math.floor(timestampMs(model.createdAt) / 1000);
  return { id: model.id, object: "model", created, owned_by: model.ownedBy };
}
