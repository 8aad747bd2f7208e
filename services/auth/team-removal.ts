import { LockMode } from "@mikro-orm/core";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";
import { type Changed, nameOf } from "./change.ts";
import { DeletedTeam, Project, Team, TeamMember, VirtualKey } from "./db/entities.ts";
import { removeKeys } from "./routes/key/delete-keys.ts";
import { scopeOf } from "./scope.ts";

/** Deletes teams with their keys, memberships and projects. Returns what that changes. */
export async function removeTeams(
  em: SqlEntityManager,
  caller: AdminCaller,
  teamIds: readonly string[],
  now: Date,
): Promise<Changed[]> {
  const ofTeams = { teamId: { $in: [...teamIds] } };
  const keys = await em.find(VirtualKey, ofTeams, { lockMode: LockMode.PESSIMISTIC_WRITE });
  await removeKeys(em, caller, keys, now);
  const members = await em.find(TeamMember, ofTeams);
  const membersOf = Map.groupBy(members, ({ teamId }) => teamId);
  const teams = await em.find(Team, ofTeams);
  await em.insertMany(
    DeletedTeam,
    teams.map((team) => {
      const own = membersOf.get(team.teamId) ?? [];
      const ids = (isAdmin: boolean) =>
        own.filter(({ role }) => (role === "admin") === isAdmin).map(({ userId }) => userId);
      const { teamId, teamAlias, organizationId, doc, createdAt, createdBy, updatedAt, updatedBy, version } = team;
      const row = { teamId, teamAlias, organizationId, doc, createdAt, createdBy, updatedAt, updatedBy, version };
      return { ...row, adminIds: ids(true), memberIds: ids(false), deletedAt: now, deletedBy: nameOf(caller) };
    }),
  );
  const projects = await em.find(Project, ofTeams, { fields: ["projectId"] });
  await em.nativeDelete(TeamMember, ofTeams);
  await em.nativeDelete(Project, ofTeams);
  await em.nativeDelete(Team, ofTeams);
  return [
    ...[
      ...teamIds.map(scopeOf.team),
      ...keys.map(({ keyId }) => scopeOf.key(keyId)),
      ...projects.map(({ projectId }) => scopeOf.project(projectId)),
      ...members.map(({ teamId, userId }) => scopeOf.member(teamId, userId)),
    ].map((scope): Changed => ({ scope, action: "deleted" })),
    ...members.map(({ userId }): Changed => ({ scope: scopeOf.user(userId), action: "updated" })),
  ];
}
