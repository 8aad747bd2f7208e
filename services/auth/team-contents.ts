import { create } from "@bufbuild/protobuf";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { TeamMemberSettingsSchema } from "#gen/sluice/auth/v1/team_pb.ts";
import { type TeamListItem, TeamListItemSchema } from "#gen/sluice/auth/v1/team_service_pb.ts";
import { budgetsOf } from "./budgets.ts";
import type { RouteContext } from "./context.ts";
import { type TeamRow, VirtualKey, type VirtualKeyRow } from "./db/entities.ts";
import { keyView } from "./key-view.ts";
import { scopeOf } from "./scope.ts";
import { nothingSpent, spentBy } from "./scope-spend.ts";
import { readDoc } from "./stored-doc.ts";
import { membershipView, placesIn } from "./team-members.ts";
import { teamSettings, teamView } from "./teams.ts";

/** What is shown of teams beside themselves. */
export interface TeamContents {
  /** Keys of the teams. */
  readonly keys: readonly VirtualKeyRow[];
  /** Whose memberships are shown; undefined means everybody's. */
  readonly userId?: string | undefined;
}

/** Teams with memberships and keys, and what all of them spent. */
export async function withContents(
  context: RouteContext,
  em: SqlEntityManager,
  rows: readonly TeamRow[],
  { keys, userId }: TeamContents,
): Promise<TeamListItem[]> {
  const teamIds = rows.map(({ teamId }) => teamId);
  const placesOf = await placesIn(em, teamIds);
  const shown = [...placesOf.values()]
    .flat()
    .filter((place) => userId === undefined || place.userId === userId)
    .map((place) => ({ place, settings: readDoc(TeamMemberSettingsSchema, place.doc) }));
  const budgets = await budgetsOf(
    em,
    shown.map(({ settings }) => settings.limits),
  );
  const scopes = [
    ...teamIds.map(scopeOf.team),
    ...shown.map(({ place }) => scopeOf.member(place.teamId, place.userId)),
    ...keys.map(({ keyId }) => scopeOf.key(keyId)),
  ];
  const spends = await spentBy(context, scopes);
  const spendOf = new Map(scopes.map((scope, at) => [scope, spends[at] ?? nothingSpent]));
  const spent = (scope: string) => spendOf.get(scope) ?? nothingSpent;
  const shownOf = Map.groupBy(shown, ({ place }) => place.teamId);
  const keysOf = Map.groupBy(keys, ({ teamId }) => teamId);
  return rows.map((row) => {
    const { teamId } = row;
    const settings = teamSettings(row);
    return create(TeamListItemSchema, {
      team: teamView(row, placesOf.get(teamId) ?? [], spent(scopeOf.team(teamId))),
      teamMemberships: (shownOf.get(teamId) ?? []).map(({ place, settings: own }) =>
        membershipView(place, own, settings, budgets, spent(scopeOf.member(teamId, place.userId))),
      ),
      keys: (keysOf.get(teamId) ?? []).map((key) => keyView(key, spent(scopeOf.key(key.keyId)))),
    });
  });
}

/** So many keys an answer has at most, and so many of one team. */
const mostKeys = 200;
const mostKeysOfTeam = 100;

/** The newest keys of each of these teams; the more teams there are, the fewer of each. */
export async function newestKeys(em: SqlEntityManager, teamIds: readonly string[]): Promise<VirtualKeyRow[]> {
  if (teamIds.length === 0) return [];
  const each = Math.max(1, Math.min(mostKeysOfTeam, Math.floor(mostKeys / teamIds.length)));
  const marks = teamIds.map(() => "(?)").join(", ");
  const found = await em.execute(
    `select k.key_id from (values ${marks}) as t (team_id)
      cross join lateral (select key_id from auth.virtual_key where team_id = t.team_id
        order by created_at desc, key_id limit ${each}) k`,
    [...teamIds],
  );
  const keyIds = found.map(({ key_id }) => String(key_id));
  return em.find(VirtualKey, { keyId: { $in: keyIds } }, { orderBy: { createdAt: "desc", keyId: "asc" } });
}
