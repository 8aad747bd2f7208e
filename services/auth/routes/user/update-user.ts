import { randomUUID } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { LockMode } from "@mikro-orm/core";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { requireCaller } from "#chassis/access.ts";
import { isProxyAdmin } from "#chassis/caller-header.ts";
import { gatewayError } from "#chassis/errors.ts";
import { UserSettingsSchema } from "#gen/sluice/auth/v1/user_pb.ts";
import {
  type UpdateUserRequest,
  type UpdateUserResponse,
  UpdateUserResponseSchema,
  type UserService,
} from "#gen/sluice/auth/v1/user_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";
import { change, createdBy, touch } from "../../change.ts";
import type { RouteContext } from "../../context.ts";
import { User, type UserRow } from "../../db/entities.ts";
import { scopeOf } from "../../scope.ts";
import { setSpend } from "../../scope-spend.ts";
import { patch, pathsUnder, readDoc } from "../../stored-doc.ts";
import { readUserSettings, userColumns, userTaken } from "../../user-input.ts";
import { isProxyRole, mayManageUsers, requireUserRight } from "../../user-rights.ts";
import { userView } from "../../user-view.ts";
import { requireVersion } from "../../version.ts";
import { insertUser } from "./create-user.ts";

export function updateUser(context: RouteContext): ServiceImpl<typeof UserService>["updateUser"] {
  return (request, { requestHeader }) => applyUserUpdate(context, requireCaller(requestHeader), request);
}

/** What a user may change of itself. */
const ownPaths: ReadonlySet<string> = new Set(["user_alias", "metadata", "user_email"]);

/** Changes one user, in a transaction of its own. */
export async function applyUserUpdate(
  context: RouteContext,
  caller: AdminCaller,
  request: UpdateUserRequest,
): Promise<UpdateUserResponse> {
  const row = await change(context, caller, async (em) => {
    const found = await findUser(em, request);
    const paths = pathsUnder("settings", request.updateMask?.paths).filter(
      // The address names the user here; it is changed only where the id does.
      (path) => path !== "user_email" || request.userId !== "",
    );
    await requireRight(em, caller, found, request, paths);
    const changed = found ?? (await upsert(em, caller, request, new Date(context.clock())));
    requireVersion(changed.version, request.version);
    const current = readDoc(UserSettingsSchema, changed.doc);
    const settings = readUserSettings(patch(UserSettingsSchema, current, request.settings, paths));
    if (isProxyRole(current.userRole) || isProxyRole(settings.userRole)) requireUserRight(isProxyAdmin(caller));
    em.assign(changed, userColumns(settings));
    touch(changed, caller, new Date(context.clock()));
    await em.flush().catch((error: unknown) => {
      throw userTaken(error);
    });
    return { result: changed, changed: [{ scope: scopeOf.user(changed.userId), action: "updated" }] };
  });
  if (request.spend !== undefined) await setSpend(context, caller, scopeOf.user(row.userId), request.spend);
  const data = await userView(context, context.database.em(), row);
  return create(UpdateUserResponseSchema, { userId: row.userId, data });
}

async function findUser(em: SqlEntityManager, request: UpdateUserRequest): Promise<UserRow | null> {
  const lock = { lockMode: LockMode.PESSIMISTIC_WRITE } as const;
  if (request.userId !== "") return em.findOne(User, { userId: request.userId }, lock);
  const userEmail = request.settings?.userEmail ?? "";
  if (userEmail === "") {
    throw gatewayError(Reason.INVALID_REQUEST, "Name the user by user_id or user_email.", { param: "user_id" });
  }
  const [found] = await em.execute("select user_id from auth.internal_user where lower(user_email) = lower(?)", [
    userEmail,
  ]);
  return found === undefined ? null : em.findOne(User, { userId: String(found.user_id) }, lock);
}

async function requireRight(
  em: SqlEntityManager,
  caller: AdminCaller,
  found: UserRow | null,
  request: UpdateUserRequest,
  paths: readonly string[],
): Promise<void> {
  if (isProxyAdmin(caller)) {
    if (found !== null || request.userId === "") return;
    throw gatewayError(Reason.NOT_FOUND, "User not found in database.", { param: "user_id" });
  }
  const isOwn = found !== null && found.userId === caller.userId;
  if (isOwn && request.spend === undefined && paths.every((path) => ownPaths.has(path))) return;
  requireUserRight(found !== null && (await mayManageUsers(em, caller, [found.userId])));
}

/** An address that nobody has makes a user, as LiteLLM does. */
async function upsert(
  em: SqlEntityManager,
  caller: AdminCaller,
  request: UpdateUserRequest,
  now: Date,
): Promise<UserRow> {
  const settings = readUserSettings(create(UserSettingsSchema, { userEmail: request.settings?.userEmail }));
  const userId = randomUUID();
  await insertUser(em, { userId, ...userColumns(settings), ...createdBy(caller, now) });
  return em.findOneOrFail(User, { userId });
}
