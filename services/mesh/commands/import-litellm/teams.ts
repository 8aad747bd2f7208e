import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { TeamMemberSettingsSchema, TeamSettingsSchema } from "#gen/sluice/auth/v1/team_pb.ts";
import type { TeamMemberRow, TeamRow } from "../../../auth/db/entities.ts";
import { teamKind, teamMemberKind } from "../../../auth/import/import-kind.ts";
import { writeDoc } from "../../../auth/stored-doc.ts";
import { readTeamSettings, teamColumns } from "../../../auth/team-input.ts";
import { availablePermissions } from "../../../auth/team-permissions.ts";
import { authorshipOf, type Left, listOf, objectOf, pick, textOf, unread } from "./fields.ts";
import { settingsInMetadata, splitMetadata } from "./keys.ts";
import { modelBudgets, readSettings } from "./settings.ts";
import type { Source } from "./source.ts";
import { type Budgets, budgetsOf, type Reading, type Step, windowOf } from "./step.ts";

const unbuilt = "has no effect here yet";
const consoleTeam = "litellm-dashboard";
const settingColumns = [
  ...["team_alias", "organization_id", "models", "max_budget", "soft_budget", "budget_duration", "tpm_limit"],
  ...["rpm_limit", "max_parallel_requests", "budget_limits", "blocked", "access_group_ids"],
  "default_team_member_models",
];
const readColumns = [
  ...settingColumns,
  ...["team_id", "admins", "members", "members_with_roles", "metadata", "model_max_budget", "model_id", "spend"],
  ...["budget_reset_at", "created_at", "updated_at", "model_spend", "team_member_permissions"],
];
const moved = [...settingsInMetadata, "team_member_key_duration"];

interface TeamContext {
  readonly budgets: Budgets;
  /** Model aliases, by the id that teams name them by. */
  readonly aliases: ReadonlyMap<string, JsonObject>;
}

export const teams: Step<TeamRow, TeamContext> = {
  label: "teams",
  table: "LiteLLM_TeamTable",
  key: ["team_id"],
  kind: teamKind,
  async prepare(source, rows) {
    const memberBudgets = rows.flatMap(({ metadata }) => textOf(objectOf(metadata).team_member_budget_id) ?? []);
    const ids = rows.flatMap(({ model_id: id }) => (id === undefined || id === null ? [] : [id]));
    const tables = await source.rowsOf("LiteLLM_ModelTable", "id", ids);
    return {
      budgets: await budgetsOf(source, rows, memberBudgets),
      aliases: new Map(tables.map((row) => [String(row.id), objectOf(row.aliases)])),
    };
  },
  read(row, { budgets, aliases }, now) {
    const teamId = String(row.team_id);
    if (teamId === consoleTeam) {
      return [{ name: teamId, row: { leftBecause: "it is for the sessions of LiteLLM's console" }, left: [] }];
    }
    const { metadata, left: leftMetadata } = splitMetadata(row, [...moved, "team_member_budget_id"]);
    const { permissions, left: leftPermissions } = permissionsOf(row);
    const input = {
      ...pick(row, settingColumns),
      ...pick(objectOf(row.metadata), moved),
      ...memberDefaults(budgets.get(textOf(objectOf(row.metadata).team_member_budget_id) ?? "")),
      team_member_permissions: permissions,
      model_aliases: aliases.get(String(row.model_id)) ?? {},
      model_max_budget: modelBudgets(row.model_max_budget),
      metadata,
    };
    const { settings, left } = readSettings(TeamSettingsSchema, input, readTeamSettings);
    return [
      {
        name: settings.teamAlias ?? teamId,
        row: { teamId, ...teamColumns(settings), ...authorshipOf(row, now) },
        left: [...left, ...leftMetadata, ...leftPermissions, ...unread(row, readColumns, unbuilt)],
        spend: { spend: row.spend, window: windowOf(row, budgets) },
      },
    ];
  },
};

/** What a team says of all of its members, LiteLLM keeps as a budget. */
function memberDefaults(budget: JsonObject | undefined): JsonObject {
  if (budget === undefined) return {};
  return {
    team_member_budget: budget.max_budget ?? null,
    team_member_budget_duration: budget.budget_duration ?? null,
    team_member_rpm_limit: budget.rpm_limit ?? null,
    team_member_tpm_limit: budget.tpm_limit ?? null,
  };
}

function permissionsOf(row: JsonObject): { readonly permissions: string[]; readonly left: readonly Left[] } {
  const all = listOf(row.team_member_permissions).map(String);
  const unknown = all.filter((path) => !availablePermissions.includes(path));
  return {
    permissions: all.filter((path) => availablePermissions.includes(path)),
    left: unknown.map((path) => ({ field: "team_member_permissions", reason: `${path} cannot be permitted here` })),
  };
}

interface MemberContext {
  readonly budgets: Budgets;
  /** Memberships, by team and user. */
  readonly memberships: ReadonlyMap<string, JsonObject>;
  /** Ids of users, by their address in lower case. */
  readonly userIds: ReadonlyMap<string, string>;
}

/** Who is in a team, its own list says; what holds for a member and what it has spent, another table. */
export const teamMembers: Step<TeamMemberRow, MemberContext> = {
  label: "team members",
  table: "LiteLLM_TeamTable",
  key: ["team_id"],
  kind: teamMemberKind,
  async prepare(source, rows) {
    const teamIds = rows.map((row) => String(row.team_id));
    const memberships = await source.rowsOf("LiteLLM_TeamMembership", "team_id", teamIds);
    return {
      budgets: await budgetsOf(source, memberships),
      memberships: new Map(memberships.map((row) => [placeOf(row.team_id, row.user_id), row])),
      userIds: await userIdsOf(source, rows),
    };
  },
  read(row, context, now) {
    const teamId = String(row.team_id);
    if (teamId === consoleTeam) return [];
    const readings = new Map<string, Reading<TeamMemberRow>>();
    for (const member of membersOf(row)) {
      const email = textOf(member.user_email);
      const userId = textOf(member.user_id) ?? context.userIds.get(email?.toLowerCase() ?? "");
      const name = `${userId ?? email ?? "somebody"} in ${textOf(row.team_alias) ?? teamId}`;
      if (userId === undefined) {
        readings.set(name, { name, row: { leftBecause: "there is no user of this address" }, left: [] });
      } else if (!readings.has(userId)) {
        const place = { teamId, userId, role: member.role === "admin" ? "admin" : "user" };
        readings.set(userId, readMember(row, place, name, context, now));
      }
    }
    return [...readings.values()];
  },
};

/** Teams of old versions have lists of ids alone. */
function membersOf(row: JsonObject): JsonObject[] {
  const ids = (list: JsonValue | undefined, role: string) => listOf(list).map((id) => ({ user_id: id, role }));
  return [...listOf(row.members_with_roles).map(objectOf), ...ids(row.admins, "admin"), ...ids(row.members, "user")];
}

function readMember(
  team: JsonObject,
  place: { readonly teamId: string; readonly userId: string; readonly role: string },
  name: string,
  { budgets, memberships }: MemberContext,
  now: Date,
): Reading<TeamMemberRow> {
  const membership = memberships.get(placeOf(place.teamId, place.userId)) ?? {};
  const budgetId = textOf(membership.budget_id);
  // The budget of all members is part of the team's settings.
  const own = budgetId === textOf(objectOf(team.metadata).team_member_budget_id) ? {} : pick(membership, ["budget_id"]);
  const allowed = budgets.get(budgetId ?? "")?.allowed_models ?? null;
  const { settings, left } = readSettings(TeamMemberSettingsSchema, { ...own, allowed_models: allowed });
  const read = ["user_id", "team_id", "spend", "budget_id", "total_spend"];
  return {
    name,
    row: { ...place, doc: writeDoc(TeamMemberSettingsSchema, settings), ...authorshipOf(team, now) },
    left: [...left, ...unread(membership, read, unbuilt)],
    spend: { spend: membership.spend, window: windowOf(membership, budgets) },
  };
}

function placeOf(teamId: unknown, userId: unknown): string {
  return JSON.stringify([teamId, userId]);
}

async function userIdsOf(source: Source, rows: readonly JsonObject[]): Promise<Map<string, string>> {
  const members = rows.flatMap(({ members_with_roles: list }) => listOf(list).map(objectOf));
  const nameless = members.filter(({ user_id: id }) => textOf(id) === undefined);
  const emails = [...new Set(nameless.flatMap(({ user_email: email }) => textOf(email) ?? []))];
  const found = await source.rowsOf("LiteLLM_UserTable", "user_email", emails);
  return new Map(found.map((row) => [String(row.user_email).toLowerCase(), String(row.user_id)]));
}
