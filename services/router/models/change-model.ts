import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";
import type { StoredModel } from "#gen/sluice/router/v1/model_pb.ts";
import type { AdminContext } from "./admin-context.ts";
import { change } from "./change.ts";
import { storedModelView } from "./model-view.ts";
import { lockModel, type ModelUpdate, updateModelRow } from "./stored-rows.ts";

/** Changes a deployment of the database; resolves with what is stored now. */
export async function changeModel(
  context: AdminContext,
  caller: AdminCaller,
  modelId: string,
  update: ModelUpdate,
): Promise<StoredModel> {
  const row = await change(context, caller, async (em) => {
    const locked = await lockModel(em, context, caller, modelId);
    updateModelRow(context, caller, locked, update);
    await em.flush();
    return { result: locked, changed: { kind: "model", name: modelId, action: "updated" } };
  });
  return storedModelView(row, context.sync.sealer);
}
