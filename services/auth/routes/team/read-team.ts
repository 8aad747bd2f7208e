import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { requireCaller } from "#chassis/access.ts";
import { databaseError } from "#chassis/database/database.ts";
import { gatewayError } from "#chassis/errors.ts";
import {
  GetTeamInfoResponseSchema,
  GetTeamPermissionsResponseSchema,
  TeamInfoSchema,
  type TeamService,
} from "#gen/sluice/auth/v1/team_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";
import { limitsView } from "../../budgets.ts";
import type { RouteContext } from "../../context.ts";
import { Team, type TeamRow, VirtualKey } from "../../db/entities.ts";
import { notFound, requireId } from "../../kind.ts";
import { withContents } from "../../team-contents.ts";
import { isBounded, memberDefaults } from "../../team-members.ts";
import { availablePermissions, usualPermissions } from "../../team-permissions.ts";
import { maySeeTeam, requireTeamRight } from "../../team-rights.ts";
import { teamKind, teamSettings } from "../../teams.ts";

const mostKeys = 1000;

export function getTeamInfo(context: RouteContext): ServiceImpl<typeof TeamService>["getTeamInfo"] {
  return async ({ teamId, keyLimit }, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const limit = keyLimit ?? mostKeys;
    if (limit > mostKeys) {
      throw gatewayError(Reason.INVALID_REQUEST, `key_limit must be at most ${mostKeys}.`, { param: "key_limit" });
    }
    try {
      const em = context.database.em();
      const row = await findTeam(em, caller, teamId || caller.teamId);
      const orderBy = { createdAt: "desc", keyId: "asc" } as const;
      const keys = limit === 0 ? [] : await em.find(VirtualKey, { teamId: row.teamId }, { limit, orderBy });
      const [found] = await withContents(context, em, [row], { keys });
      const defaults = memberDefaults(teamSettings(row));
      return create(GetTeamInfoResponseSchema, {
        teamId: row.teamId,
        teamInfo: create(TeamInfoSchema, {
          team: found?.team,
          teamMemberBudgetTable: isBounded(defaults) ? limitsView(defaults, new Map()) : undefined,
        }),
        keys: found?.keys ?? [],
        teamMemberships: found?.teamMemberships ?? [],
      });
    } catch (error) {
      throw databaseError(error);
    }
  };
}

export function getTeamPermissions(context: RouteContext): ServiceImpl<typeof TeamService>["getTeamPermissions"] {
  return async ({ teamId }, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    try {
      const row = await findTeam(context.database.em(), caller, teamId);
      const { teamMemberPermissions } = teamSettings(row);
      return create(GetTeamPermissionsResponseSchema, {
        teamId,
        teamMemberPermissions: teamMemberPermissions.length > 0 ? teamMemberPermissions : [...usualPermissions],
        allAvailablePermissions: [...availablePermissions],
      });
    } catch (error) {
      throw databaseError(error);
    }
  };
}

async function findTeam(em: SqlEntityManager, caller: AdminCaller, teamId: string): Promise<TeamRow> {
  const row = await em.findOne(Team, { teamId: requireId(teamKind, teamId) });
  requireTeamRight(maySeeTeam(caller, row ?? { teamId: "" }));
  if (row === null) throw notFound(teamKind, [teamId]);
  return row;
}
