import { randomUUID } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { requireCaller } from "#chassis/access.ts";
import { isProxyAdmin } from "#chassis/caller-header.ts";
import { gatewayError } from "#chassis/errors.ts";
import { KeySettingsSchema } from "#gen/sluice/auth/v1/key_pb.ts";
import { OrganizationMemberSettingsSchema } from "#gen/sluice/auth/v1/organization_pb.ts";
import { TeamMemberSettingsSchema } from "#gen/sluice/auth/v1/team_pb.ts";
import type { UserSettings } from "#gen/sluice/auth/v1/user_pb.ts";
import {
  type CreateUserRequest,
  CreateUserResponseSchema,
  type UserService,
} from "#gen/sluice/auth/v1/user_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";
import { type Changed, change, createdBy } from "../../change.ts";
import type { RouteContext } from "../../context.ts";
import { Organization, OrganizationMember, Team, TeamMember, User, type UserRow } from "../../db/entities.ts";
import { readKeySettings } from "../../key-input.ts";
import { makeKey, type NewKey, storeKey } from "../../key-making.ts";
import { keyView } from "../../key-view.ts";
import { scopeOf } from "../../scope.ts";
import { nothingSpent } from "../../scope-spend.ts";
import { writeDoc } from "../../stored-doc.ts";
import { readUserSettings, userColumns, userTaken } from "../../user-input.ts";
import { isProxyRole, requireUserRight } from "../../user-rights.ts";
import { userView } from "../../user-view.ts";

export function createUser(context: RouteContext): ServiceImpl<typeof UserService>["createUser"] {
  return async (request, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const settings = readUserSettings(request.settings);
    const organizations = [...new Set(request.organizations)];
    requireUserRight(mayCreate(caller, settings, organizations));
    const row: UserRow = {
      userId: request.userId || randomUUID(),
      ...userColumns(settings),
      ...createdBy(caller, new Date(context.clock())),
    };
    const made = request.autoCreateKey === false ? undefined : keyOf(context, caller, request, row);
    await change(context, caller, async (em) => {
      await insertUser(em, row);
      const teams = [...new Set([...request.teams, ...(request.teamId ? [request.teamId] : [])])];
      await join(em, caller, row, teams, organizations);
      const changed: Changed[] = [{ scope: scopeOf.user(row.userId), action: "created" }];
      if (made !== undefined) {
        await storeKey(context, em, made);
        changed.push({ scope: scopeOf.key(made.row.keyId), action: "created" });
      }
      return { result: undefined, changed };
    });
    const user = await userView(context, context.database.em(), row);
    const key = made && keyView(made.row, nothingSpent);
    return create(CreateUserResponseSchema, {
      user,
      key: made?.key ?? "",
      token: key?.token,
      keyName: key?.keyName,
      keyAlias: key?.settings?.keyAlias,
      expires: key?.expires,
    });
  };
}

/** An organization's admin makes members of its organizations only, and nobody who reaches beyond them. */
function mayCreate(caller: AdminCaller, settings: UserSettings, organizations: readonly string[]): boolean {
  if (isProxyAdmin(caller)) return true;
  if (organizations.length === 0 || isProxyRole(settings.userRole)) return false;
  return organizations.every((id) => caller.adminOrganizationIds.includes(id));
}

/** A user's first key has no limits of its own: the user's hold for it. */
function keyOf(context: RouteContext, caller: AdminCaller, request: CreateUserRequest, { userId }: UserRow): NewKey {
  const { keyAlias, teamId, duration } = request;
  const settings = readKeySettings(create(KeySettingsSchema, { userId, keyAlias, teamId }));
  return makeKey(context, caller, settings, { duration });
}

/** Stores a user. @throws CONFLICT where its id, address or SSO id is taken. */
export async function insertUser(em: SqlEntityManager, row: UserRow): Promise<void> {
  await em.insert(User, row).catch((error: unknown) => {
    throw userTaken(error);
  });
}

async function join(
  em: SqlEntityManager,
  caller: AdminCaller,
  { userId, createdAt }: UserRow,
  teams: readonly string[],
  organizations: readonly string[],
): Promise<void> {
  const stamps = createdBy(caller, createdAt);
  if ((await em.count(Team, { teamId: { $in: [...teams] } })) < teams.length) throw unknown("teams");
  if ((await em.count(Organization, { organizationId: { $in: [...organizations] } })) < organizations.length) {
    throw unknown("organizations");
  }
  const member = { userId, ...stamps };
  const teamDoc = writeDoc(TeamMemberSettingsSchema, create(TeamMemberSettingsSchema));
  await em.insertMany(
    TeamMember,
    teams.map((teamId) => ({ teamId, role: "user", doc: teamDoc, ...member })),
  );
  const organizationDoc = writeDoc(OrganizationMemberSettingsSchema, create(OrganizationMemberSettingsSchema));
  await em.insertMany(
    OrganizationMember,
    organizations.map((organizationId) => ({ organizationId, role: "internal_user", doc: organizationDoc, ...member })),
  );
}

function unknown(field: string) {
  return gatewayError(Reason.INVALID_REQUEST, `${field} holds an id that nothing has.`, { param: field });
}
