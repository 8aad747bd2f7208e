import { type Implementation, implement } from "#chassis/service.ts";
import { UserService } from "#gen/sluice/auth/v1/user_service_pb.ts";
import type { RouteContext } from "../../context.ts";
import { bulkUpdateUsers } from "./bulk-update-users.ts";
import { createUser } from "./create-user.ts";
import { deleteUsers } from "./delete-users.ts";
import { getUser, getUserInfo } from "./get-user-info.ts";
import { listUsers } from "./list-users.ts";
import { updateUser } from "./update-user.ts";

export function userRoutes(context: RouteContext): Implementation {
  return implement(UserService, {
    createUser: createUser(context),
    updateUser: updateUser(context),
    bulkUpdateUsers: bulkUpdateUsers(context),
    getUserInfo: getUserInfo(context),
    getUser: getUser(context),
    listUsers: listUsers(context),
    deleteUsers: deleteUsers(context),
  });
}
