import { create } from "@bufbuild/protobuf";
import { ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { requireCaller } from "#chassis/access.ts";
import { gatewayError } from "#chassis/errors.ts";
import {
  type BulkUpdateUsersRequest,
  BulkUpdateUsersResponseSchema,
  type UpdateUserRequest,
  UpdateUserRequestSchema,
  type UserService,
  UserUpdateResultSchema,
} from "#gen/sluice/auth/v1/user_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";
import type { RouteContext } from "../../context.ts";
import { User } from "../../db/entities.ts";
import { applyUserUpdate } from "./update-user.ts";

const mostUsers = 500;

export function bulkUpdateUsers(context: RouteContext): ServiceImpl<typeof UserService>["bulkUpdateUsers"] {
  return async (request, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const updates = await readUpdates(request);
    const results = [];
    for (const update of updates) results.push(await tryUpdate(caller, update));
    const successfulUpdates = results.filter(({ success }) => success).length;
    return create(BulkUpdateUsersResponseSchema, {
      results,
      totalRequested: results.length,
      successfulUpdates,
      failedUpdates: results.length - successfulUpdates,
    });
  };

  async function readUpdates(request: BulkUpdateUsersRequest): Promise<UpdateUserRequest[]> {
    const { users, allUsers, userUpdates } = request;
    if (allUsers !== (userUpdates !== undefined) || allUsers === users.length > 0) {
      throw invalid("Give either users, or all_users with user_updates.");
    }
    if (!allUsers) {
      if (users.length > mostUsers) throw invalid(`Give at most ${mostUsers} users.`);
      return users;
    }
    const rows = await context.database.em().find(User, {}, { fields: ["userId"] });
    return rows.map(({ userId }) => create(UpdateUserRequestSchema, { ...userUpdates, userId }));
  }

  async function tryUpdate(caller: AdminCaller, update: UpdateUserRequest) {
    const userId = update.userId || undefined;
    const userEmail = update.settings?.userEmail;
    try {
      const { data } = await applyUserUpdate(context, caller, update);
      return create(UserUpdateResultSchema, {
        userId: data?.userId ?? userId,
        userEmail,
        success: true,
        updatedUser: data,
      });
    } catch (error) {
      const { rawMessage } = ConnectError.from(error);
      return create(UserUpdateResultSchema, { userId, userEmail, success: false, error: rawMessage });
    }
  }
}

function invalid(message: string) {
  return gatewayError(Reason.INVALID_REQUEST, message, { param: "users" });
}
