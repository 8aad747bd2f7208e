import { randomUUID } from "node:crypto";
import { create, type JsonObject } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { requireCaller } from "#chassis/access.ts";
import { createdBy } from "#chassis/authorship.ts";
import { isUniqueViolation } from "#chassis/database/database.ts";
import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { CreateModelResponseSchema, type ModelService } from "#gen/sluice/router/v1/model_service_pb.ts";
import { StoredDeployment } from "../../db/entities.ts";
import type { AdminContext } from "../../models/admin-context.ts";
import { change } from "../../models/change.ts";
import { checkDraft, cleanInfo, cleanParams, invalid, readJsonObject, withoutNulls } from "../../models/model-input.ts";
import { mayManageModel, requireModelRight, requireOwnCredential } from "../../models/model-ownership.ts";
import { storedModelView } from "../../models/model-view.ts";
import { columnsOf } from "../../models/stored-rows.ts";

const maxIdLength = 256;

export function createCreateModel(context: AdminContext): ServiceImpl<typeof ModelService>["createModel"] {
  const { live, sync, clock } = context;
  return async (request, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const given = readJsonObject("model_info", request.modelInfo);
    const draft = {
      modelName: request.modelName,
      params: withoutNulls(cleanParams(readJsonObject("litellm_params", request.litellmParams))),
      info: withoutNulls(cleanInfo(given)),
    };
    const modelId = readId(given);
    const config = checkDraft({ ...draft, info: { ...draft.info, id: modelId } }, live.current);
    requireModelRight(mayManageModel(caller, config.about.teamId));
    requireOwnCredential(caller, draft.params, config, live.current.names);
    if (live.current.registry.members.some(({ id }) => id === modelId)) throw idTaken(modelId);
    const row = {
      modelId,
      ...columnsOf(draft, context),
      blocked: request.blocked ?? config.about.blocked,
      ...createdBy(caller, new Date(clock())),
    };
    await change(context, caller, async (em) => {
      await em.insert(StoredDeployment, row).catch((error: unknown) => {
        throw isUniqueViolation(error) ? idTaken(modelId) : error;
      });
      return { result: undefined, changed: { kind: "model", name: modelId, action: "created" } };
    });
    return create(CreateModelResponseSchema, { model: storedModelView(row, sync.sealer) });
  };
}

function readId({ id }: JsonObject): string {
  if (id === undefined || id === null || id === "") return randomUUID();
  if (typeof id === "string" && id.length <= maxIdLength && !/\p{Cc}/u.test(id)) return id;
  throw invalid("model_info.id", `'model_info.id' must be a text of at most ${maxIdLength} characters.`);
}

function idTaken(id: string) {
  return gatewayError(Reason.CONFLICT, `A model with id=${id} exists already.`, { param: "model_info.id" });
}
