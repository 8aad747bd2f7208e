import type { ServiceImpl } from "@connectrpc/connect";
import { UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";
import type { ModelService } from "#gen/sluice/router/v1/model_service_pb.ts";
import type { LiveModels } from "../models/live-models.ts";

const fallbackKinds: Readonly<Record<string, UpstreamErrorKind | undefined>> = {
  context_window: UpstreamErrorKind.CONTEXT_WINDOW,
  content_policy: UpstreamErrorKind.CONTENT_POLICY,
};

export function createListModels(live: LiveModels): ServiceImpl<typeof ModelService>["listModels"] {
  return (request) => {
    const { catalog, fallbacks } = live.current;
    const { fallbackType, onlyModelAccessGroups, includeModelAccessGroups } = request;
    const models = catalog.list({
      models: request.callerModels,
      teamId: request.teamId,
      patterns: request.returnWildcardRoutes,
      accessGroups: onlyModelAccessGroups ? "only" : includeModelAccessGroups ? "too" : "none",
    });
    if (fallbackType === "") return { models: [...models] };
    const kind = fallbackKinds[fallbackType];
    return { models: models.map((model) => ({ ...model, fallbacks: [...fallbacks(model.id, kind)] })) };
  };
}
