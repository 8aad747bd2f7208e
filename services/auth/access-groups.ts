import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { LockMode } from "@mikro-orm/core";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { gatewayError } from "#chassis/errors.ts";
import { AccessGroupSettingsSchema } from "#gen/sluice/auth/v1/access_group_pb.ts";
import {
  type AccessGroup as AccessGroupMessage,
  AccessGroupSchema,
} from "#gen/sluice/auth/v1/access_group_service_pb.ts";
import { KeySettingsSchema } from "#gen/sluice/auth/v1/key_pb.ts";
import { TeamSettingsSchema } from "#gen/sluice/auth/v1/team_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";
import { type Changed, touch } from "./change.ts";
import { AccessGroup, type AccessGroupRow, Team, VirtualKey } from "./db/entities.ts";
import type { Kind } from "./kind.ts";
import { scopeOf } from "./scope.ts";
import { readDoc, writeDoc } from "./stored-doc.ts";

export const accessGroupKind: Kind<AccessGroupRow, typeof AccessGroupSettingsSchema> = {
  label: "Access group",
  param: "access_group_id",
  entity: AccessGroup,
  settings: AccessGroupSettingsSchema,
  where: (ids) => ({ accessGroupId: { $in: [...ids] } }),
};

/** Groups as an administrator sees them. Whom they are assigned to, the documents of teams and keys say. */
export async function accessGroupViews(
  em: SqlEntityManager,
  rows: readonly AccessGroupRow[],
): Promise<AccessGroupMessage[]> {
  const ids = rows.map(({ accessGroupId }) => accessGroupId);
  const teams = await assigned(em, "team", ids);
  const keys = await assigned(em, "key", ids);
  return rows.map((row) => {
    const settings = readDoc(AccessGroupSettingsSchema, row.doc);
    settings.assignedTeamIds = teams.get(row.accessGroupId) ?? [];
    settings.assignedKeyIds = keys.get(row.accessGroupId) ?? [];
    return create(AccessGroupSchema, {
      accessGroupId: row.accessGroupId,
      settings,
      createdAt: timestampFromDate(row.createdAt),
      createdBy: row.createdBy,
      updatedAt: timestampFromDate(row.updatedAt),
      updatedBy: row.updatedBy,
      version: row.version,
    });
  });
}

const columns = { team: ["team", "team_id"], key: ["virtual_key", "key_id"] } as const;

/** The teams or keys that have one of these groups, by group. */
async function assigned(
  em: SqlEntityManager,
  what: keyof typeof columns,
  ids: readonly string[],
): Promise<Map<string, string[]>> {
  if (ids.length === 0) return new Map();
  const [table, column] = columns[what];
  const rows = await em.execute(
    `select g.id as of, t.${column} as id from auth.${table} t
      cross join lateral jsonb_array_elements_text(t.doc -> 'accessGroupIds') as g (id)
      where t.doc -> 'accessGroupIds' is not null and g.id in (${ids.map(() => "?").join(", ")})
      order by t.${column}`,
    [...ids],
  );
  const pairs = Map.groupBy(rows, ({ of }) => String(of));
  return new Map([...pairs].map(([of, found]) => [of, found.map(({ id }) => String(id))]));
}

/** Whom a group is assigned to. */
export interface Assignment {
  readonly teamIds: readonly string[];
  readonly keyIds: readonly string[];
}

/**
 * Assigns a group to these teams and keys and to no others; what is undefined stays. Returns what that changes.
 *
 * @throws INVALID_REQUEST for one that nobody knows.
 */
export async function assignGroup(
  em: SqlEntityManager,
  caller: AdminCaller,
  now: Date,
  groupId: string,
  { teamIds, keyIds }: Partial<Assignment>,
): Promise<Changed[]> {
  const lock = { lockMode: LockMode.PESSIMISTIC_WRITE } as const;
  const changed: Changed[] = [];
  if (teamIds !== undefined) {
    const before = (await assigned(em, "team", [groupId])).get(groupId) ?? [];
    const { all, touched } = difference(before, teamIds);
    const rows = await em.find(Team, { teamId: { $in: all } }, { ...lock, orderBy: { teamId: "asc" } });
    requireAll(teamIds, new Set(rows.map(({ teamId }) => teamId)), "assigned_team_ids");
    for (const row of rows.filter(({ teamId }) => touched.has(teamId))) {
      const settings = readDoc(TeamSettingsSchema, row.doc);
      settings.accessGroupIds = toggled(settings.accessGroupIds, groupId, teamIds.includes(row.teamId));
      row.doc = writeDoc(TeamSettingsSchema, settings);
      touch(row, caller, now);
      changed.push({ scope: scopeOf.team(row.teamId), action: "updated" });
    }
  }
  if (keyIds !== undefined) {
    const before = (await assigned(em, "key", [groupId])).get(groupId) ?? [];
    const { all, touched } = difference(before, keyIds);
    const rows = await em.find(VirtualKey, { keyId: { $in: all } }, { ...lock, orderBy: { keyId: "asc" } });
    requireAll(keyIds, new Set(rows.map(({ keyId }) => keyId)), "assigned_key_ids");
    for (const row of rows.filter(({ keyId }) => touched.has(keyId))) {
      const settings = readDoc(KeySettingsSchema, row.doc);
      settings.accessGroupIds = toggled(settings.accessGroupIds, groupId, keyIds.includes(row.keyId));
      row.doc = writeDoc(KeySettingsSchema, settings);
      touch(row, caller, now);
      changed.push({ scope: scopeOf.key(row.keyId), action: "updated" });
    }
  }
  await em.flush();
  return changed;
}

/** Both together, and those that are in one of them only. */
function difference(before: readonly string[], after: readonly string[]) {
  const touched = new Set([
    ...before.filter((id) => !after.includes(id)),
    ...after.filter((id) => !before.includes(id)),
  ]);
  return { all: [...new Set([...before, ...after])], touched };
}

function toggled(ids: readonly string[], id: string, isIn: boolean): string[] {
  const others = ids.filter((each) => each !== id);
  return isIn ? [...others, id] : others;
}

function requireAll(ids: readonly string[], found: ReadonlySet<string>, param: string): void {
  const missing = ids.find((id) => !found.has(id));
  if (missing === undefined) return;
  throw gatewayError(Reason.INVALID_REQUEST, `${param}: nothing has the id ${missing}.`, { param });
}

/** Lists that may name a group, with the columns of their owners' ids. */
const lists = [
  ["virtual_key", "models", "key_id", "key_id", (id: string) => scopeOf.key(id)],
  ["team", "models", "team_id", "team_id", (id: string) => scopeOf.team(id)],
  ["team", "defaultTeamMemberModels", "team_id", "team_id", (id: string) => scopeOf.team(id)],
  ["team_member", "allowedModels", "team_id", "user_id", (team: string, user: string) => scopeOf.member(team, user)],
  ["internal_user", "models", "user_id", "user_id", (id: string) => scopeOf.user(id)],
  ["organization", "models", "organization_id", "organization_id", (id: string) => scopeOf.organization(id)],
  ["project", "models", "project_id", "project_id", (id: string) => scopeOf.project(id)],
] as const;

/** Everybody who may use a group's models: whom it is assigned to, and whoever has its name in a list of models. */
export async function groupUsers(em: SqlEntityManager, { accessGroupId, accessGroupName }: AccessGroupRow) {
  const teams = (await assigned(em, "team", [accessGroupId])).get(accessGroupId) ?? [];
  const keys = (await assigned(em, "key", [accessGroupId])).get(accessGroupId) ?? [];
  const scopes = new Set([...teams.map(scopeOf.team), ...keys.map(scopeOf.key)]);
  for (const [table, list, first, second, scope] of lists) {
    const rows = await em.execute(
      `select ${first} as a, ${second} as b from auth.${table} where doc -> '${list}' @> ?::jsonb`,
      [JSON.stringify([accessGroupName])],
    );
    for (const { a, b } of rows) scopes.add(scope(String(a), String(b)));
  }
  return [...scopes].map((each): Changed => ({ scope: each, action: "updated" }));
}
