import { create } from "@bufbuild/protobuf";
import { type ModelAccessGroup, ModelAccessGroupSchema } from "#gen/sluice/router/v1/model_access_group_service_pb.ts";
import type { Registry } from "../registry/registry.ts";
import { requireAccessGroup } from "./access-groups.ts";

/** A group with what is in it. @throws NOT_FOUND where nothing is. */
export function groupView(registry: Registry, accessGroup: string): ModelAccessGroup {
  const members = requireAccessGroup(registry, accessGroup);
  return create(ModelAccessGroupSchema, {
    accessGroup,
    modelNames: [...new Set(members.map(({ config }) => config.modelName))].sort(),
    deploymentCount: members.length,
  });
}
