import { create } from "@bufbuild/protobuf";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { gatewayError } from "#chassis/errors.ts";
import { type Limits, LimitsSchema } from "#gen/sluice/auth/v1/limits_pb.ts";
import { type TeamMemberSettings, TeamMemberSettingsSchema, type TeamSettings } from "#gen/sluice/auth/v1/team_pb.ts";
import { type TeamMembership, TeamMembershipSchema } from "#gen/sluice/auth/v1/team_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";
import { limitsView } from "./budgets.ts";
import { type Changed, createdBy } from "./change.ts";
import { type BudgetRow, TeamMember } from "./db/entities.ts";
import { overlay, withBudget } from "./limit-scopes.ts";
import { scopeOf } from "./scope.ts";
import type { WindowSpend } from "./scope-spend.ts";
import { writeDoc } from "./stored-doc.ts";

/** A user's place in a team, with the user's address. */
export interface TeamPlace {
  readonly teamId: string;
  readonly userId: string;
  readonly userEmail: string | null;
  readonly role: string;
  /** What holds for the member there, as it is stored: most lists do not look at it. */
  readonly doc: object;
}

/** Who is in these teams, the first first; where a user is named, only that one's places. Read as rows: there are many. */
export async function placesIn(
  em: SqlEntityManager,
  teamIds: readonly string[],
  userId?: string,
): Promise<Map<string, TeamPlace[]>> {
  if (teamIds.length === 0) return new Map();
  const marks = teamIds.map(() => "?").join(", ");
  const rows = await em.execute(
    `select m.team_id, m.user_id, m.role, m.doc, u.user_email from auth.team_member m
      left join auth.internal_user u on u.user_id = m.user_id
      where m.team_id in (${marks})${userId === undefined ? "" : " and m.user_id = ?"}
      order by m.created_at, m.user_id`,
    userId === undefined ? [...teamIds] : [...teamIds, userId],
  );
  const places = rows.map(
    (row): TeamPlace => ({
      teamId: String(row.team_id),
      userId: String(row.user_id),
      userEmail: row.user_email === null ? null : String(row.user_email),
      role: String(row.role),
      doc: row.doc,
    }),
  );
  return Map.groupBy(places, ({ teamId }) => teamId);
}

/** What a team's settings say of members whose membership says nothing else. */
export function memberDefaults(team: TeamSettings | undefined): Limits {
  return create(LimitsSchema, {
    maxBudget: team?.teamMemberBudget,
    budgetDuration: team?.teamMemberBudgetDuration,
    rpmLimit: team?.teamMemberRpmLimit,
    tpmLimit: team?.teamMemberTpmLimit,
  });
}

/** Whether limits say anything. */
export function isBounded(limits: Limits): boolean {
  return Object.entries(limits).some(([name, value]) => !name.startsWith("$") && !isEmpty(value));
}

function isEmpty(value: unknown): boolean {
  if (typeof value === "object" && value !== null) return Object.keys(value).length === 0;
  return value === undefined;
}

/** A membership as an administrator sees it. */
export function membershipView(
  { teamId, userId }: TeamPlace,
  settings: TeamMemberSettings,
  team: TeamSettings | undefined,
  budgets: ReadonlyMap<string, BudgetRow>,
  { spent }: WindowSpend,
): TeamMembership {
  const own = withBudget(settings.limits, budgets);
  const limits = own === undefined ? memberDefaults(team) : overlay(memberDefaults(team), own);
  return create(TeamMembershipSchema, {
    userId,
    teamId,
    budgetId: settings.limits?.budgetId,
    spend: spent,
    litellmBudgetTable: isBounded(limits) ? limitsView(limits, budgets) : undefined,
    allowedModels: settings.allowedModels,
  });
}

/** As many rows as one statement takes. */
const batchSize = 1000;

/** Puts users into a team. None of them is in it. Returns what that changes. */
export async function insertPlaces(
  em: SqlEntityManager,
  caller: AdminCaller,
  now: Date,
  teamId: string,
  members: readonly { readonly userId: string; readonly role: string }[],
  settings: TeamMemberSettings,
): Promise<Changed[]> {
  const doc = writeDoc(TeamMemberSettingsSchema, settings);
  const rows = members.map(({ userId, role }) => ({ teamId, userId, role, doc, ...createdBy(caller, now) }));
  for (let from = 0; from < rows.length; from += batchSize) {
    await em.insertMany(TeamMember, rows.slice(from, from + batchSize));
  }
  return members.flatMap(({ userId }): Changed[] => [
    { scope: scopeOf.user(userId), action: "updated" },
    { scope: scopeOf.member(teamId, userId), action: "created" },
  ]);
}

/** A member's role in one form; empty means `user`. @throws INVALID_REQUEST where there is no such role. */
export function readTeamRole(role: string | undefined): "admin" | "user" {
  if (role === "admin") return role;
  if (role === undefined || role === "" || role === "user") return "user";
  throw gatewayError(Reason.INVALID_REQUEST, "role must be admin or user.", { param: "role" });
}
