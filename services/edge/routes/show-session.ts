import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { Principal } from "#gen/sluice/auth/v1/principal_pb.ts";
import { CallerKind } from "#gen/sluice/inference/v1/inference_pb.ts";
import { RoleSchema } from "#gen/sluice/rest/v1/caller_pb.ts";
import type { HttpCall } from "../http-call.ts";

/** Who the caller is and what it may do, for a page that shows itself accordingly. */
export function showSession(call: HttpCall, principal: Principal): void {
  const { expiresAt } = principal;
  const body = {
    user_id: principal.userId || null,
    master: principal.kind === CallerKind.MASTER,
    roles: principal.roles.map((role) => RoleSchema.value[role]?.localName.toLowerCase()),
    teams: principal.teamIds,
    admin_teams: principal.adminTeamIds,
    admin_organizations: principal.adminOrganizationIds,
    expires: expiresAt === undefined ? null : timestampDate(expiresAt).toISOString(),
  };
  call.sendJson(200, body, ["cache-control", "no-store"]);
}
