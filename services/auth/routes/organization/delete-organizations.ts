import type { ServiceImpl } from "@connectrpc/connect";
import { LockMode } from "@mikro-orm/core";
import { requireCaller } from "#chassis/access.ts";
import { databaseError } from "#chassis/database/database.ts";
import { gatewayError } from "#chassis/errors.ts";
import type { OrganizationService } from "#gen/sluice/auth/v1/organization_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { type Changed, change } from "../../change.ts";
import type { RouteContext } from "../../context.ts";
import { Organization, OrganizationMember, Team, VirtualKey } from "../../db/entities.ts";
import { lockThings } from "../../kind.ts";
import { organizationKind, organizationViews } from "../../organizations.ts";
import { scopeOf } from "../../scope.ts";
import { removeTeams } from "../../team-removal.ts";
import { removeKeys } from "../key/delete-keys.ts";

export function deleteOrganizations(
  context: RouteContext,
): ServiceImpl<typeof OrganizationService>["deleteOrganizations"] {
  const kind = { ...organizationKind, param: "organization_ids" };
  return async (request, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const ids = [...new Set(request.organizationIds)].toSorted();
    if (ids.length === 0) {
      throw gatewayError(Reason.INVALID_REQUEST, "Name the organizations.", { param: kind.param });
    }
    const organizations = await viewsBefore(ids);
    await change(context, caller, async (em) => {
      await lockThings(em, kind, ids, ({ organizationId }) => organizationId);
      const now = new Date(context.clock());
      const where = kind.where(ids);
      const lock = { lockMode: LockMode.PESSIMISTIC_WRITE } as const;
      const teams = await em.find(Team, { organizationId: { $in: ids } }, lock);
      const teamIds = teams.map(({ teamId }) => teamId);
      const ofTeams = await removeTeams(em, caller, teamIds, now);
      const keys = await em.find(VirtualKey, { organizationId: { $in: ids } }, lock);
      await removeKeys(em, caller, keys, now);
      const members = await em.find(OrganizationMember, { organizationId: { $in: ids } });
      await em.nativeDelete(OrganizationMember, { organizationId: { $in: ids } });
      await em.nativeDelete(Organization, where);
      const deleted = [...ids.map(scopeOf.organization), ...keys.map(({ keyId }) => scopeOf.key(keyId))];
      const changed = [
        ...deleted.map((scope): Changed => ({ scope, action: "deleted" })),
        ...members.map(({ userId }): Changed => ({ scope: scopeOf.user(userId), action: "updated" })),
        ...ofTeams,
      ];
      return { result: undefined, changed };
    });
    return { organizations };
  };

  /** Not within the transaction: accounting may have to wait for that to end. */
  async function viewsBefore(ids: readonly string[]) {
    try {
      const em = context.database.em();
      return await organizationViews(context, em, await em.find(Organization, kind.where(ids)));
    } catch (error) {
      throw databaseError(error);
    }
  }
}
