import type { ServiceImpl } from "@connectrpc/connect";
import type { FilterQuery } from "@mikro-orm/core";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { requireCaller } from "#chassis/access.ts";
import { databaseError } from "#chassis/database/database.ts";
import type { OrganizationService } from "#gen/sluice/auth/v1/organization_service_pb.ts";
import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";
import type { RouteContext } from "../../context.ts";
import { Organization, OrganizationMember, type OrganizationRow } from "../../db/entities.ts";
import { notFound, requireId } from "../../kind.ts";
import {
  mayManageOrganization,
  oneOrganizationView,
  organizationKind,
  organizationViews,
  readsAll,
  requireOrganizationRight,
} from "../../organizations.ts";
import { containing, readPage } from "../../page.ts";

export function getOrganization(context: RouteContext): ServiceImpl<typeof OrganizationService>["getOrganization"] {
  return async (request, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const organizationId = requireId(organizationKind, request.organizationId);
    try {
      const em = context.database.em();
      const isSeen = readsAll(caller) || mayManageOrganization(caller, organizationId);
      requireOrganizationRight(isSeen || (await organizationsOf(em, caller)).includes(organizationId));
      const row = await em.findOne(Organization, { organizationId });
      if (row === null) throw notFound(organizationKind, [organizationId]);
      return { organization: await oneOrganizationView(context, row) };
    } catch (error) {
      throw databaseError(error);
    }
  };
}

export function listOrganizations(context: RouteContext): ServiceImpl<typeof OrganizationService>["listOrganizations"] {
  return async ({ orgId, orgAlias, ...request }, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const { limit, offset } = readPage(request.page, request.pageSize, 100, 1000);
    try {
      const em = context.database.em();
      const filters: FilterQuery<OrganizationRow>[] = [];
      if (orgId !== "") filters.push({ organizationId: orgId });
      if (orgAlias !== "") filters.push({ organizationAlias: { $ilike: containing(orgAlias) } });
      if (!readsAll(caller)) filters.push({ organizationId: { $in: await organizationsOf(em, caller) } });
      const orderBy = { organizationAlias: "asc", organizationId: "asc" } as const;
      const rows = await em.find(Organization, { $and: filters }, { limit, offset, orderBy });
      return { organizations: await organizationViews(context, em, rows) };
    } catch (error) {
      throw databaseError(error);
    }
  };
}

/** The organizations that the caller is in. */
async function organizationsOf(em: SqlEntityManager, { userId, adminOrganizationIds }: AdminCaller): Promise<string[]> {
  const rows = userId === "" ? [] : await em.find(OrganizationMember, { userId });
  return [...adminOrganizationIds, ...rows.map(({ organizationId }) => organizationId)];
}
