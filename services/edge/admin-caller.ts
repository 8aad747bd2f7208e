import type { IncomingHttpHeaders } from "node:http";
import { create } from "@bufbuild/protobuf";
import type { Principal } from "#gen/sluice/auth/v1/principal_pb.ts";
import { CallerKind } from "#gen/sluice/inference/v1/inference_pb.ts";
import { type AdminCaller, AdminCallerSchema } from "#gen/sluice/rest/v1/caller_pb.ts";

/** Who makes an admin call, as the service behind it is told. */
export function adminCaller(
  principal: Principal,
  headers: IncomingHttpHeaders,
  { address, operation }: { readonly address: string; readonly operation: string },
): AdminCaller {
  const changedBy = headers["litellm-changed-by"];
  return create(AdminCallerSchema, {
    master: principal.kind === CallerKind.MASTER,
    keyId: principal.keyId,
    roles: principal.roles,
    userId: principal.userId,
    teamId: principal.teamId,
    teamIds: principal.teamIds,
    adminTeamIds: principal.adminTeamIds,
    adminOrganizationIds: principal.adminOrganizationIds,
    address,
    operation,
    changedBy: typeof changedBy === "string" ? changedBy.slice(0, 256) : "",
  });
}
