import type { ServiceImpl } from "@connectrpc/connect";
import { requireCaller } from "#chassis/access.ts";
import type { ModelService } from "#gen/sluice/router/v1/model_service_pb.ts";
import type { AdminContext } from "../../models/admin-context.ts";
import { invalid } from "../../models/model-input.ts";
import { modelInfoView } from "../../models/model-view.ts";
import { accessFacts, visibleMembers } from "../../models/visible-models.ts";

export function createListModelInfo({ live, clock }: AdminContext): ServiceImpl<typeof ModelService>["listModelInfo"] {
  return ({ litellmModelId, teamId, callerModels }, { requestHeader }) => {
    const viewer = { caller: requireCaller(requestHeader), models: callerModels, teamId };
    const visible = visibleMembers(live.current, viewer);
    const wanted = litellmModelId ? visible.filter(({ id }) => id === litellmModelId) : visible;
    if (litellmModelId && wanted.length === 0) {
      throw invalid("litellm_model_id", `Model id = ${litellmModelId} not found on the proxy`);
    }
    const now = clock();
    return { data: wanted.map((member) => modelInfoView(member, now, accessFacts(member))) };
  };
}
