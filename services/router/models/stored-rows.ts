import type { JsonObject } from "@bufbuild/protobuf";
import { LockMode } from "@mikro-orm/core";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { touch } from "#chassis/authorship.ts";
import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";
import { StoredDeployment, type StoredDeploymentRow } from "../db/entities.ts";
import { jsonObject, maskParams } from "../masking.ts";
import type { AdminContext } from "./admin-context.ts";
import { checkDraft, cleanInfo, cleanParams, invalid, withoutNulls } from "./model-input.ts";
import { mayManageModel, requireModelRight, requireOwnCredential } from "./model-ownership.ts";
import { factsOf } from "./model-view.ts";
import { mergeMembers, openParams, sealParams } from "./sealed-params.ts";

/** What is to be changed of a deployment. */
export interface ModelUpdate {
  readonly modelName: string | undefined;
  readonly params: JsonObject;
  readonly info: JsonObject;
  readonly blocked: boolean | undefined;
  /** The version that the caller has seen. */
  readonly version: number | undefined;
  /** Whether a member that is null stays as it is; else it is removed. */
  readonly keepsNull: boolean;
}

/**
 * A row of the database, locked, that the caller may change.
 *
 * @throws PERMISSION_DENIED, NOT_FOUND where there is none, INVALID_REQUEST where the configuration file has it.
 */
export async function lockModel(
  em: SqlEntityManager,
  { live }: AdminContext,
  caller: AdminCaller,
  modelId: string,
): Promise<StoredDeploymentRow> {
  const row = await em.findOne(StoredDeployment, { modelId }, { lockMode: LockMode.PESSIMISTIC_WRITE });
  requireModelRight(mayManageModel(caller, row?.teamId));
  if (row !== null) return row;
  const isConfigured = live.current.registry.members.some(({ id, config }) => id === modelId && !config.stored);
  if (isConfigured)
    throw invalid("model_id", `The model '${modelId}' is one of the configuration file: change it there.`);
  throw gatewayError(Reason.NOT_FOUND, `Model with id=${modelId} not found in db`, { param: "model_id" });
}

/** The draft of a row with an update, checked, put into the row. */
export function updateModelRow(
  context: AdminContext,
  caller: AdminCaller,
  row: StoredDeploymentRow,
  update: ModelUpdate,
): void {
  const { live, clock } = context;
  const { sealer } = context.sync;
  if (update.version !== undefined && update.version !== row.version) {
    const message = `The model was changed meanwhile: it has version ${row.version}, not ${update.version}.`;
    throw gatewayError(Reason.CONFLICT, message, { param: "version" });
  }
  const current = openParams({ open: jsonObject({ ...row.litellmParams }), sealed: row.sealedParams ?? null }, sealer);
  const member = live.current.registry.members.find(({ id, config }) => id === row.modelId && config.stored);
  const shownInfo = member === undefined ? {} : factsOf(member, clock());
  const { params, info, keepsNull } = update;
  const draft = {
    modelName: update.modelName ?? row.modelName,
    params: mergeMembers(current, cleanParams(params), maskParams(current), keepsNull),
    info: mergeMembers(infoOf(row), cleanInfo(info), shownInfo, keepsNull),
  };
  const config = checkDraft({ ...draft, info: { ...draft.info, id: row.modelId } }, live.current);
  requireModelRight(mayManageModel(caller, config.about.teamId));
  requireOwnCredential(caller, draft.params, config, live.current.names);
  Object.assign(row, columnsOf(draft, context), { blocked: update.blocked ?? config.about.blocked });
  touch(row, caller, new Date(clock()));
}

/** `model_info` with what has a column of its own. */
function infoOf({ modelInfo, teamId, blocked }: StoredDeploymentRow): JsonObject {
  return { ...jsonObject({ ...modelInfo }), ...(teamId ? { team_id: teamId } : {}), blocked };
}

/** What a draft is stored as. */
export function columnsOf(
  draft: { readonly modelName: string; readonly params: JsonObject; readonly info: JsonObject },
  { sync }: AdminContext,
) {
  const { open, sealed } = sealParams(withoutNulls(draft.params), sync.sealer);
  const { team_id: teamId, blocked: _, ...info } = withoutNulls(draft.info);
  return {
    modelName: draft.modelName,
    teamId: typeof teamId === "string" && teamId !== "" ? teamId : null,
    litellmParams: open,
    sealedParams: sealed,
    modelInfo: info,
  };
}
