import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { type FilterQuery, QueryOrder } from "@mikro-orm/core";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { requireCaller } from "#chassis/access.ts";
import { databaseError } from "#chassis/database/database.ts";
import { gatewayError } from "#chassis/errors.ts";
import { TeamSettingsSchema } from "#gen/sluice/auth/v1/team_pb.ts";
import {
  type ListTeamsRequest,
  type SearchTeamsRequest,
  SearchTeamsResponseSchema,
  TeamSchema,
  type TeamService,
} from "#gen/sluice/auth/v1/team_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { type AdminCaller, Role } from "#gen/sluice/rest/v1/caller_pb.ts";
import type { RouteContext } from "../../context.ts";
import { type DeletedTeamRow, Team, TeamMember, type TeamRow } from "../../db/entities.ts";
import { beginning, containing, pageFields, readOrder, readPage } from "../../page.ts";
import { newestKeys, withContents } from "../../team-contents.ts";
import { requireTeamRight } from "../../team-rights.ts";
import { deletedTeams, foundTeams } from "../../team-search.ts";
import { teamSettings } from "../../teams.ts";

const columns = {
  team_id: "teamId",
  team_alias: "teamAlias",
  organization_id: "organizationId",
  created_at: "createdAt",
  updated_at: "updatedAt",
} as const;

export function listTeams(context: RouteContext): ServiceImpl<typeof TeamService>["listTeams"] {
  return async (request, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const { limit, offset } = readPage(request.page, request.pageSize, 100, 1000);
    try {
      const em = context.database.em();
      const where = { $and: await filtersOf(em, caller, request) };
      const orderBy = [{ teamAlias: QueryOrder.ASC_NULLS_LAST }, { teamId: QueryOrder.ASC }];
      const rows = await em.find(Team, where, { limit, offset, orderBy });
      const keys = await newestKeys(
        em,
        rows.map(({ teamId }) => teamId),
      );
      return { teams: await withContents(context, em, rows, { keys, userId: request.userId || undefined }) };
    } catch (error) {
      throw databaseError(error);
    }
  };
}

export function searchTeams(context: RouteContext): ServiceImpl<typeof TeamService>["searchTeams"] {
  return async (request, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const page = readPage(request.page, request.pageSize, 10, 100);
    const usual = { by: "createdAt", order: "desc" } as const;
    const orderBy = readOrder(columns, "teamId", request.sortBy, request.sortOrder, usual);
    const isDeleted = readStatus(request);
    const options = { limit: page.limit, offset: page.offset, orderBy };
    try {
      const em = context.database.em();
      const [teams, total] = isDeleted
        ? await deletedTeams(context, em, deletedFilters(caller, request), options)
        : await foundTeams(
            context,
            em,
            { $and: [...(await filtersOf(em, caller, request)), ...searched(request)] },
            options,
          );
      return create(SearchTeamsResponseSchema, {
        teams: [...teams],
        ...pageFields(total, page),
      });
    } catch (error) {
      throw databaseError(error);
    }
  };
}

function readStatus({ status }: SearchTeamsRequest): boolean {
  if (status === "" || status === "deleted") return status === "deleted";
  throw gatewayError(Reason.INVALID_REQUEST, "status must be deleted, or absent.", { param: "status" });
}

/** Of a deleted team only its organization's admins know more than nothing, beside those who read everything. */
function deletedFilters(caller: AdminCaller, request: SearchTeamsRequest): FilterQuery<DeletedTeamRow> {
  const { userId, organizationId } = request;
  const filters: FilterQuery<DeletedTeamRow>[] = searched(request);
  if (organizationId === noOrganization) filters.push({ organizationId: null });
  else if (organizationId !== "") filters.push({ organizationId });
  if (userId !== "") {
    filters.push({ $or: [{ adminIds: { $contains: [userId] } }, { memberIds: { $contains: [userId] } }] });
  }
  if (!caller.roles.some((role) => readers.includes(role))) {
    filters.push({ organizationId: { $in: caller.adminOrganizationIds } });
  }
  return { $and: filters };
}

/** Teams that the caller is in already are left out. */
export function listAvailableTeams(context: RouteContext): ServiceImpl<typeof TeamService>["listAvailableTeams"] {
  return async (_request, { requestHeader }) => {
    const { teamIds } = requireCaller(requestHeader);
    const ids = context.config.tenancyRules.availableTeams.filter((id) => !teamIds.includes(id));
    if (ids.length === 0) return { teams: [] };
    try {
      const em = context.database.em();
      const rows = await em.find(Team, { teamId: { $in: ids } }, { orderBy: { teamAlias: "asc", teamId: "asc" } });
      return { teams: rows.map((row) => availableTeam(row)) };
    } catch (error) {
      throw databaseError(error);
    }
  };
}

/** What somebody who is not in a team learns of it. */
function availableTeam(row: TeamRow) {
  const { teamAlias, organizationId, models } = teamSettings(row);
  const settings = create(TeamSettingsSchema, { teamAlias, organizationId, models });
  return create(TeamSchema, { teamId: row.teamId, settings });
}

/** LiteLLM's word for no organization. */
const noOrganization = "default_organization";
const readers: readonly Role[] = [Role.PROXY_ADMIN, Role.PROXY_ADMIN_VIEWER];

/** What the caller may see, narrowed to the user and organization that it asks for. */
async function filtersOf(
  em: SqlEntityManager,
  caller: AdminCaller,
  { userId, organizationId }: ListTeamsRequest | SearchTeamsRequest,
): Promise<FilterQuery<TeamRow>[]> {
  const filters: FilterQuery<TeamRow>[] = [];
  if (organizationId === noOrganization) filters.push({ organizationId: null });
  else if (organizationId !== "") filters.push({ organizationId });
  if (userId !== "") filters.push({ teamId: { $in: await teamsOf(em, userId) } });
  if (caller.roles.some((role) => readers.includes(role))) return filters;
  const organizations = caller.adminOrganizationIds;
  requireTeamRight(userId === "" || userId === caller.userId || organizations.length > 0, "user_id");
  const own = [...caller.teamIds, ...(caller.teamId === "" ? [] : [caller.teamId])];
  return [...filters, { $or: [{ teamId: { $in: own } }, { organizationId: { $in: organizations } }] }];
}

async function teamsOf(em: SqlEntityManager, userId: string): Promise<string[]> {
  return (await em.find(TeamMember, { userId }, { fields: ["teamId"] })).map(({ teamId }) => teamId);
}

/** What a live team and a deleted one are searched by. */
type Searched = ByName | { $or: ByName[] };
type ByName = { teamId: string | { $like: string } } | { teamAlias: { $ilike: string } };

function searched({ teamId, teamAlias, search, searchTeamIdMatch }: SearchTeamsRequest): Searched[] {
  if (!["", "exact", "prefix"].includes(searchTeamIdMatch)) {
    throw gatewayError(Reason.INVALID_REQUEST, "search_team_id_match must be exact or prefix.", {
      param: "search_team_id_match",
    });
  }
  const filters: Searched[] = [];
  if (teamId !== "") filters.push({ teamId });
  if (teamAlias !== "") filters.push({ teamAlias: { $ilike: containing(teamAlias) } });
  if (search !== "") {
    const byId = searchTeamIdMatch === "prefix" ? { teamId: { $like: beginning(search) } } : { teamId: search };
    filters.push({ $or: [byId, { teamAlias: { $ilike: containing(search) } }] });
  }
  return filters;
}
