import type { ServiceImpl } from "@connectrpc/connect";
import { LockMode } from "@mikro-orm/core";
import { requireCaller } from "#chassis/access.ts";
import { isProxyAdmin } from "#chassis/caller-header.ts";
import { gatewayError } from "#chassis/errors.ts";
import type { UserService } from "#gen/sluice/auth/v1/user_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { type Changed, change } from "../../change.ts";
import type { RouteContext } from "../../context.ts";
import { OrganizationMember, TeamMember, User, VirtualKey } from "../../db/entities.ts";
import { scopeOf } from "../../scope.ts";
import { isProxyRole, mayManageUsers, requireUserRight } from "../../user-rights.ts";
import { removeKeys } from "../key/delete-keys.ts";

const lock = { lockMode: LockMode.PESSIMISTIC_WRITE } as const;

export function deleteUsers(context: RouteContext): ServiceImpl<typeof UserService>["deleteUsers"] {
  return async (request, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const userIds = [...new Set(request.userIds)];
    if (userIds.length === 0) throw gatewayError(Reason.INVALID_REQUEST, "Name the users.", { param: "user_ids" });
    const deleted = await change(context, caller, async (em) => {
      requireUserRight(await mayManageUsers(em, caller, userIds), "user_ids");
      const rows = await em.find(User, { userId: { $in: userIds } }, lock);
      const missing = userIds.filter((userId) => !rows.some((row) => row.userId === userId));
      if (missing.length > 0) {
        throw gatewayError(Reason.NOT_FOUND, `User not found in database: ${missing.slice(0, 10).join(", ")}.`, {
          param: "user_ids",
        });
      }
      requireUserRight(isProxyAdmin(caller) || !rows.some(({ userRole }) => isProxyRole(userRole)), "user_ids");
      const keys = await em.find(VirtualKey, { userId: { $in: userIds } }, lock);
      await removeKeys(em, caller, keys, new Date(context.clock()));
      await em.nativeDelete(TeamMember, { userId: { $in: userIds } });
      await em.nativeDelete(OrganizationMember, { userId: { $in: userIds } });
      await em.nativeDelete(User, { userId: { $in: userIds } });
      const scopes = [...userIds.map(scopeOf.user), ...keys.map(({ keyId }) => scopeOf.key(keyId))];
      const changed = scopes.map((scope): Changed => ({ scope, action: "deleted" }));
      return { result: rows.length, changed };
    });
    return { deleted };
  };
}
