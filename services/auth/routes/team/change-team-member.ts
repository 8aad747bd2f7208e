import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { LockMode } from "@mikro-orm/core";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { requireCaller } from "#chassis/access.ts";
import { gatewayError } from "#chassis/errors.ts";
import { LimitsSchema } from "#gen/sluice/auth/v1/limits_pb.ts";
import { TeamMemberSettingsSchema } from "#gen/sluice/auth/v1/team_pb.ts";
import {
  type TeamService,
  type UpdateTeamMemberRequest,
  UpdateTeamMemberResponseSchema,
} from "#gen/sluice/auth/v1/team_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";
import { type Changed, change, touch } from "../../change.ts";
import type { RouteContext } from "../../context.ts";
import { TeamMember, type TeamMemberRow, User, VirtualKey } from "../../db/entities.ts";
import { type NamedUser, userIdOf } from "../../member-users.ts";
import { scopeOf } from "../../scope.ts";
import { spentByOne } from "../../scope-spend.ts";
import { patch, readDoc, writeDoc } from "../../stored-doc.ts";
import { placesIn, readTeamRole } from "../../team-members.ts";
import { teamView } from "../../teams.ts";
import { requireVersion } from "../../version.ts";
import { removeKeys } from "../key/delete-keys.ts";
import { lockTeam } from "./lock-team.ts";

export function updateTeamMember(context: RouteContext): ServiceImpl<typeof TeamService>["updateTeamMember"] {
  return async (request, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const { teamId } = request;
    return change(context, caller, async (em) => {
      await lockTeam(em, caller, teamId);
      const row = await lockMember(em, teamId, request);
      requireVersion(row.version, request.version);
      const before = readDoc(TeamMemberSettingsSchema, row.doc);
      const settings = patch(TeamMemberSettingsSchema, before, requested(request), settingsPaths(request));
      const isRoleGiven = request.updateMask?.paths.includes("role") && request.role !== undefined;
      em.assign(row, {
        role: isRoleGiven ? readTeamRole(request.role) : row.role,
        doc: writeDoc(TeamMemberSettingsSchema, settings),
      });
      touch(row, caller, new Date(context.clock()));
      await em.flush();
      const { limits, allowedModels } = settings;
      const result = create(UpdateTeamMemberResponseSchema, {
        userId: row.userId,
        userEmail: await addressOf(em, row.userId),
        teamId,
        maxBudgetInTeam: limits?.maxBudget,
        tpmLimit: limits?.tpmLimit,
        rpmLimit: limits?.rpmLimit,
        budgetDuration: limits?.budgetDuration,
        allowedModels,
        role: row.role,
        version: row.version,
      });
      return { result, changed: changesOf(row, "updated") };
    });
  };
}

export function deleteTeamMember(context: RouteContext): ServiceImpl<typeof TeamService>["deleteTeamMember"] {
  return async (request, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const { teamId } = request;
    const { team, places } = await change(context, caller, async (em) => {
      const locked = await lockTeam(em, caller, teamId);
      const row = await lockMember(em, teamId, request);
      const before = (await placesIn(em, [teamId])).get(teamId) ?? [];
      const changed = await removePlace(em, caller, row, new Date(context.clock()));
      return { result: { team: locked, places: before }, changed };
    });
    return { team: teamView(team, places, await spentByOne(context, scopeOf.team(teamId))) };
  };
}

/** Takes a member out of its team, with the keys that it has there. Returns what that changes. */
export async function removePlace(
  em: SqlEntityManager,
  caller: AdminCaller,
  row: TeamMemberRow,
  now: Date,
): Promise<Changed[]> {
  const { teamId, userId } = row;
  const keys = await em.find(VirtualKey, { teamId, userId }, { lockMode: LockMode.PESSIMISTIC_WRITE });
  await removeKeys(em, caller, keys, now);
  await em.nativeDelete(TeamMember, { teamId, userId });
  return [
    ...changesOf(row, "deleted"),
    ...keys.map(({ keyId }): Changed => ({ scope: scopeOf.key(keyId), action: "deleted" })),
  ];
}

async function lockMember(em: SqlEntityManager, teamId: string, named: NamedUser): Promise<TeamMemberRow> {
  const userId = await userIdOf(em, named);
  const options = { lockMode: LockMode.PESSIMISTIC_WRITE } as const;
  const row = userId === undefined ? null : await em.findOne(TeamMember, { teamId, userId }, options);
  if (row !== null) return row;
  const shown = named.userId || named.userEmail;
  const param = named.userId ? "user_id" : "user_email";
  throw gatewayError(Reason.NOT_FOUND, `User=${shown} is not in team=${teamId}.`, { param });
}

/** Where the request's fields are in the settings of a membership. */
const places: ReadonlyMap<string, string> = new Map([
  ["max_budget_in_team", "limits.max_budget"],
  ["tpm_limit", "limits.tpm_limit"],
  ["rpm_limit", "limits.rpm_limit"],
  ["budget_duration", "limits.budget_duration"],
  ["allowed_models", "allowed_models"],
]);

function settingsPaths({ updateMask }: UpdateTeamMemberRequest): string[] {
  return (updateMask?.paths ?? []).flatMap((path) => places.get(path) ?? []);
}

function requested({ maxBudgetInTeam, tpmLimit, rpmLimit, budgetDuration, allowedModels }: UpdateTeamMemberRequest) {
  const limits = create(LimitsSchema, {
    maxBudget: maxBudgetInTeam,
    tpmLimit,
    rpmLimit,
    budgetDuration: budgetDuration || undefined,
  });
  return create(TeamMemberSettingsSchema, { limits, allowedModels });
}

async function addressOf(em: SqlEntityManager, userId: string): Promise<string | undefined> {
  return (await em.findOne(User, { userId }))?.userEmail ?? undefined;
}

/** A membership decides about the user's roles, and about the keys that it has in the team. */
function changesOf({ teamId, userId }: TeamMemberRow, action: Changed["action"]): Changed[] {
  return [
    { scope: scopeOf.member(teamId, userId), action },
    { scope: scopeOf.user(userId), action: "updated" },
  ];
}
