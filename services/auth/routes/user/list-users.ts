import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import type { FilterQuery } from "@mikro-orm/core";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { requireCaller } from "#chassis/access.ts";
import { databaseError } from "#chassis/database/database.ts";
import {
  type ListUsersRequest,
  ListUsersResponseSchema,
  type UserService,
} from "#gen/sluice/auth/v1/user_service_pb.ts";
import { type AdminCaller, Role } from "#gen/sluice/rest/v1/caller_pb.ts";
import type { RouteContext } from "../../context.ts";
import { OrganizationMember, TeamMember, User, type UserRow } from "../../db/entities.ts";
import { containing, pageFields, readList, readOrder, readPage } from "../../page.ts";
import { userViews } from "../../user-view.ts";

const columns = {
  user_id: "userId",
  user_email: "userEmail",
  user_alias: "userAlias",
  user_role: "userRole",
  created_at: "createdAt",
  updated_at: "updatedAt",
} as const;

export function listUsers(context: RouteContext): ServiceImpl<typeof UserService>["listUsers"] {
  return async (request, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const page = readPage(request.page, request.pageSize, 25, 100);
    const usual = { by: "createdAt", order: "desc" } as const;
    const orderBy = readOrder(columns, "userId", request.sortBy, request.sortOrder, usual);
    try {
      const em = context.database.em();
      const where = await filterOf(em, caller, request);
      const [rows, total] = await em.findAndCount(User, where, { limit: page.limit, offset: page.offset, orderBy });
      const [users, counts] = await Promise.all([userViews(context, em, rows), keyCounts(context.database.em(), rows)]);
      for (const user of users) user.keyCount = counts.get(user.userId) ?? 0;
      return create(ListUsersResponseSchema, {
        users,
        ...pageFields(total, page),
      });
    } catch (error) {
      throw databaseError(error);
    }
  };
}

async function filterOf(
  em: SqlEntityManager,
  caller: AdminCaller,
  request: ListUsersRequest,
): Promise<FilterQuery<UserRow>> {
  const all: FilterQuery<UserRow>[] = [];
  if (request.role !== "") all.push({ userRole: request.role });
  if (request.userIds !== "") all.push({ userId: { $in: readList(request.userIds) } });
  if (request.ssoUserIds !== "") all.push({ ssoUserId: { $in: readList(request.ssoUserIds) } });
  if (request.userEmail !== "") all.push({ userEmail: { $ilike: containing(request.userEmail) } });
  if (request.team !== "") all.push({ userId: { $in: await membersOfTeam(em, request.team) } });
  const organizations = readable(caller, readList(request.organizationIds));
  if (organizations !== undefined) all.push({ userId: { $in: await membersOf(em, organizations) } });
  return { $and: all };
}

/** The organizations that the list is narrowed to: those asked for, and for an organization's admin its own at most. */
function readable(caller: AdminCaller, asked: readonly string[]): readonly string[] | undefined {
  const seesAll = caller.roles.some((role) => role === Role.PROXY_ADMIN || role === Role.PROXY_ADMIN_VIEWER);
  if (seesAll) return asked.length === 0 ? undefined : asked;
  const own = caller.adminOrganizationIds;
  return asked.length === 0 ? own : asked.filter((id) => own.includes(id));
}

async function membersOfTeam(em: SqlEntityManager, teamId: string): Promise<string[]> {
  return (await em.find(TeamMember, { teamId })).map(({ userId }) => userId);
}

async function membersOf(em: SqlEntityManager, organizationIds: readonly string[]): Promise<string[]> {
  const found = await em.find(OrganizationMember, { organizationId: { $in: [...organizationIds] } });
  return found.map(({ userId }) => userId);
}

async function keyCounts(em: SqlEntityManager, rows: readonly UserRow[]): Promise<Map<string, number>> {
  if (rows.length === 0) return new Map();
  const marks = rows.map(() => "?").join(", ");
  const found = await em.execute(
    `select user_id, count(*)::int as keys from auth.virtual_key where user_id in (${marks}) group by user_id`,
    rows.map(({ userId }) => userId),
  );
  return new Map(found.map((each) => [String(each.user_id), Number(each.keys)]));
}
