import { randomUUID } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { requireCaller } from "#chassis/access.ts";
import { isProxyAdmin } from "#chassis/caller-header.ts";
import { gatewayError } from "#chassis/errors.ts";
import { LimitsSchema } from "#gen/sluice/auth/v1/limits_pb.ts";
import { OrganizationMemberSettingsSchema } from "#gen/sluice/auth/v1/organization_pb.ts";
import { TeamMemberSettingsSchema } from "#gen/sluice/auth/v1/team_pb.ts";
import type { UserSettings } from "#gen/sluice/auth/v1/user_pb.ts";
import {
  type CreateUserRequest,
  CreateUserResponseSchema,
  NewUserTeamSchema,
  type UserService,
} from "#gen/sluice/auth/v1/user_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";
import { type Changed, change, createdBy } from "../../change.ts";
import type { RouteContext } from "../../context.ts";
import { Organization, OrganizationMember, Team, TeamMember, User, type UserRow } from "../../db/entities.ts";
import { makeFirstKey } from "../../first-key.ts";
import { keyView } from "../../key-view.ts";
import { scopeOf } from "../../scope.ts";
import { nothingSpent } from "../../scope-spend.ts";
import { writeDoc } from "../../stored-doc.ts";
import { readTeamRole } from "../../team-members.ts";
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
    const teams = teamsOf(request);
    const made = await change(context, caller, async (em) => {
      await insertUser(em, row);
      await join(em, caller, row, teams, organizations);
      const key = await makeFirstKey(context, em, caller, request, row.userId);
      const changed: Changed[] = [{ scope: scopeOf.user(row.userId), action: "created" }];
      if (key !== undefined) changed.push({ scope: scopeOf.key(key.row.keyId), action: "created" });
      return { result: key, changed };
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

/** The places that the user gets, one in a team. @throws INVALID_REQUEST for a role that there is not in teams. */
function teamsOf({ teams, teamId }: CreateUserRequest): Map<string, { role: string; doc: object }> {
  const alone = teamId ? [create(NewUserTeamSchema, { teamId })] : [];
  return new Map(
    [...alone, ...teams].map(({ teamId, maxBudgetInTeam: maxBudget, userRole }) => {
      const limits = maxBudget === undefined ? undefined : create(LimitsSchema, { maxBudget });
      const doc = writeDoc(TeamMemberSettingsSchema, create(TeamMemberSettingsSchema, { limits }));
      return [teamId, { role: readTeamRole(userRole), doc }];
    }),
  );
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
  teams: ReadonlyMap<string, { readonly role: string; readonly doc: object }>,
  organizations: readonly string[],
): Promise<void> {
  const stamps = createdBy(caller, createdAt);
  if ((await em.count(Team, { teamId: { $in: [...teams.keys()] } })) < teams.size) throw unknown("teams");
  if ((await em.count(Organization, { organizationId: { $in: [...organizations] } })) < organizations.length) {
    throw unknown("organizations");
  }
  const member = { userId, ...stamps };
  await em.insertMany(
    TeamMember,
    [...teams].map(([teamId, place]) => ({ teamId, ...place, ...member })),
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
