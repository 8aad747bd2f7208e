import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { requireCaller } from "#chassis/access.ts";
import { nameOf } from "#chassis/authorship.ts";
import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import {
  type CheckModelHealthRequest,
  CheckModelHealthResponseSchema,
  type ModelHealthService,
} from "#gen/sluice/router/v1/model_health_service_pb.ts";
import { endpointView } from "../../health/health-view.ts";
import type { AdminContext } from "../../models/admin-context.ts";
import { jsonBytes } from "../../models/model-view.ts";
import type { RegistryMember } from "../../registry/registry.ts";

export function createCheckModelHealth({
  live,
  prober,
}: AdminContext): ServiceImpl<typeof ModelHealthService>["checkModelHealth"] {
  return async (request, { requestHeader }) => {
    const { registry, loaded } = live.current;
    const { background, details } = loaded.config.health;
    const wanted = registry.members.filter((member) => !member.config.about.blocked && matches(member, request));
    if (wanted.length === 0 && (request.model || request.modelId)) throw notFound(request);
    const ids = new Set(wanted.map(({ id }) => id));
    const checks = background
      ? (await prober.known()).filter(({ modelId }) => ids.has(modelId))
      : await prober.check(wanted, nameOf(requireCaller(requestHeader)));
    const healthy = checks.filter((check) => check.healthy);
    const unhealthy = checks.filter((check) => !check.healthy);
    return create(CheckModelHealthResponseSchema, {
      healthyEndpoints: healthy.map((check) => jsonBytes(endpointView(check, details))),
      unhealthyEndpoints: unhealthy.map((check) => jsonBytes(endpointView(check, details))),
      healthyCount: healthy.length,
      unhealthyCount: unhealthy.length,
    });
  };
}

function matches({ config, id }: RegistryMember, { model, modelId }: CheckModelHealthRequest): boolean {
  if (modelId && id !== modelId) return false;
  return !model || config.modelName === model || config.about.params.model === model;
}

function notFound({ model, modelId }: CheckModelHealthRequest) {
  const param = modelId ? "model_id" : "model";
  return gatewayError(Reason.NOT_FOUND, `Model '${modelId || model}' not found`, { param });
}
