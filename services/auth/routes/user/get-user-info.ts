import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { requireCaller } from "#chassis/access.ts";
import { databaseError } from "#chassis/database/database.ts";
import { gatewayError } from "#chassis/errors.ts";
import { TeamSettingsSchema } from "#gen/sluice/auth/v1/team_pb.ts";
import {
  GetUserInfoResponseSchema,
  GetUserResponseSchema,
  type UserService,
  UserTeamSchema,
} from "#gen/sluice/auth/v1/user_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { type AdminCaller, Role } from "#gen/sluice/rest/v1/caller_pb.ts";
import type { RouteContext } from "../../context.ts";
import { Team, TeamMember, User, type UserRow, VirtualKey } from "../../db/entities.ts";
import { keyViews } from "../../key-view.ts";
import { readDoc } from "../../stored-doc.ts";
import { maySeeUser, requireUserRight } from "../../user-rights.ts";
import { userView } from "../../user-view.ts";

const most = 1000;
const seesAll: readonly Role[] = [Role.PROXY_ADMIN, Role.PROXY_ADMIN_VIEWER];

export function getUserInfo(context: RouteContext): ServiceImpl<typeof UserService>["getUserInfo"] {
  return async (request, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    try {
      const em = context.database.em();
      const everything =
        request.userId === "" && caller.userId === "" && caller.roles.some((role) => seesAll.includes(role));
      const row = everything ? undefined : await findUser(em, caller, request.userId);
      return create(GetUserInfoResponseSchema, {
        userId: row?.userId,
        userInfo: row && (await userView(context, em, row)),
        keys: await keysOf(context, em, row?.userId),
        teams: await teamsOf(em, row?.userId),
      });
    } catch (error) {
      throw databaseError(error);
    }
  };
}

export function getUser(context: RouteContext): ServiceImpl<typeof UserService>["getUser"] {
  return async (request, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    try {
      const em = context.database.em();
      const row = await findUser(em, caller, request.userId);
      return create(GetUserResponseSchema, { user: await userView(context, em, row) });
    } catch (error) {
      throw databaseError(error);
    }
  };
}

/** The user asked for, or the caller's own. */
async function findUser(em: SqlEntityManager, caller: AdminCaller, asked: string): Promise<UserRow> {
  const userId = asked || caller.userId;
  if (userId === "") {
    throw gatewayError(Reason.INVALID_REQUEST, "Name the user: user_id=...", { param: "user_id" });
  }
  requireUserRight(await maySeeUser(em, caller, userId));
  const row = await em.findOne(User, { userId });
  if (row === null) throw gatewayError(Reason.NOT_FOUND, "User not found in database.", { param: "user_id" });
  return row;
}

async function keysOf(context: RouteContext, em: SqlEntityManager, userId: string | undefined) {
  const where = userId === undefined ? {} : { userId };
  const rows = await em.find(VirtualKey, where, { limit: most, orderBy: { createdAt: "desc", keyId: "asc" } });
  return keyViews(context, rows);
}

async function teamsOf(em: SqlEntityManager, userId: string | undefined) {
  const memberships = userId === undefined ? undefined : await em.find(TeamMember, { userId }, { limit: most });
  const where = memberships === undefined ? {} : { teamId: { $in: memberships.map(({ teamId }) => teamId) } };
  const rows = await em.find(Team, where, { limit: most, orderBy: { teamAlias: "asc", teamId: "asc" } });
  return rows.map(({ teamId, doc }) => create(UserTeamSchema, { teamId, settings: readDoc(TeamSettingsSchema, doc) }));
}
