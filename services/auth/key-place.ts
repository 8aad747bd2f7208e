import { LockMode } from "@mikro-orm/core";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { gatewayError } from "#chassis/errors.ts";
import { AccessGroupSettingsSchema } from "#gen/sluice/auth/v1/access_group_pb.ts";
import type { KeySettings } from "#gen/sluice/auth/v1/key_pb.ts";
import { type Limits, LimitsSchema } from "#gen/sluice/auth/v1/limits_pb.ts";
import { type TeamSettings, TeamSettingsSchema } from "#gen/sluice/auth/v1/team_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { requireBudget } from "./budgets.ts";
import { AccessGroup, Organization, Project, Team } from "./db/entities.ts";
import { matchesModel } from "./model-pattern.ts";
import { readDoc } from "./stored-doc.ts";

/** The team that a key is in. */
export interface KeyTeam {
  readonly teamId: string;
  readonly organizationId: string | undefined;
  readonly settings: TeamSettings;
}

/**
 * Reads the team that a key names, and makes the key's organization the team's. Undefined where the key names none, or
 * one that does not exist: `requirePlace` says so, to whom may know.
 */
export async function placeKey(em: SqlEntityManager, settings: KeySettings): Promise<KeyTeam | undefined> {
  const { teamId } = settings;
  if (teamId === undefined) return undefined;
  // Two keys that are promised the team's throughput at the same time wait for each other here.
  const lock = isGuaranteed(settings) ? { lockMode: LockMode.PESSIMISTIC_WRITE } : {};
  const row = await em.findOne(Team, { teamId }, lock);
  const organizationId = row?.organizationId ?? undefined;
  if (organizationId === undefined) delete settings.organizationId;
  else settings.organizationId = organizationId;
  return row === null ? undefined : { teamId, organizationId, settings: readDoc(TeamSettingsSchema, row.doc) };
}

/**
 * Checks that everything a key refers to is there and goes together. A user may be unknown, as in LiteLLM.
 *
 * @param asked The organization that the request names.
 * @throws INVALID_REQUEST that names the field.
 */
export async function requirePlace(
  em: SqlEntityManager,
  settings: KeySettings,
  team: KeyTeam | undefined,
  asked: string | undefined,
): Promise<void> {
  const { teamId, organizationId, projectId } = settings;
  if (teamId !== undefined && team === undefined) throw invalid("team_id", `There is no team '${teamId}'.`);
  if (team !== undefined && asked !== undefined && asked !== organizationId) {
    throw invalid("organization_id", "A key in a team belongs to its team's organization.");
  }
  if (organizationId !== undefined && (await em.count(Organization, { organizationId })) === 0) {
    throw invalid("organization_id", `There is no organization '${organizationId}'.`);
  }
  if (projectId !== undefined) {
    const project = await em.findOne(Project, { projectId });
    if (project === null) throw invalid("project_id", `There is no project '${projectId}'.`);
    if (project.teamId && project.teamId !== teamId) {
      throw invalid("project_id", `The project '${projectId}' belongs to another team.`);
    }
  }
  await requireBudget(em, settings.limits);
}

/** @throws INVALID_REQUEST where a team's key names a model that the team's keys may not use. */
export async function requireTeamModels(em: SqlEntityManager, { models }: KeySettings, team: KeyTeam): Promise<void> {
  const { models: ofTeam, accessGroupIds } = team.settings;
  if (ofTeam.length === 0 || models.length === 0) return;
  const groups = await em.find(AccessGroup, {
    $or: [{ accessGroupName: { $in: [...ofTeam, ...models] } }, { accessGroupId: { $in: accessGroupIds } }],
  });
  const modelsOf = new Map(
    groups.map((row) => [row.accessGroupName, readDoc(AccessGroupSettingsSchema, row.doc).accessModelNames]),
  );
  const assigned = groups.filter((row) => accessGroupIds.includes(row.accessGroupId));
  const named = [...ofTeam, ...assigned.map(({ accessGroupName }) => accessGroupName)];
  const rights = [...named, ...named.flatMap((name) => modelsOf.get(name) ?? [])];
  const allowed = (name: string) => rights.some((right) => matchesModel(right, name));
  const denied = models.filter((name) => {
    if (name === "all-team-models" || name === "no-default-models" || allowed(name)) return false;
    const members = modelsOf.get(name);
    return members === undefined || !members.every(allowed);
  });
  if (denied.length === 0) return;
  throw invalid("models", `The team '${team.teamId}' may not use ${denied.slice(0, 10).join(", ")}.`);
}

const guaranteed = "guaranteed_throughput";

function isGuaranteed({ rpmLimitType, tpmLimitType }: KeySettings): boolean {
  return rpmLimitType === guaranteed || tpmLimitType === guaranteed;
}

/**
 * Checks what a key is promised against what its team has: the sum over the team's keys may not be more.
 *
 * @param keyId The key itself, whose former promise does not count.
 * @throws INVALID_REQUEST that names the limit.
 */
export async function requireThroughput(
  em: SqlEntityManager,
  settings: KeySettings,
  team: KeyTeam,
  keyId: string,
): Promise<void> {
  if (!isGuaranteed(settings)) return;
  const own = settings.limits;
  const whole = team.settings.limits;
  if (own === undefined || whole === undefined) return;
  const { maxBudget } = own;
  if (maxBudget !== undefined && whole.maxBudget !== undefined && maxBudget > whole.maxBudget) {
    throw invalid("max_budget", "The key's max_budget is above its team's.");
  }
  const shares = [
    ...(settings.rpmLimitType === guaranteed ? sharesOf(own, whole, "rpmLimit", "modelRpmLimit") : []),
    ...(settings.tpmLimitType === guaranteed ? sharesOf(own, whole, "tpmLimit", "modelTpmLimit") : []),
  ];
  for (const share of shares) await requireShare(em, share, team.teamId, keyId);
}

/** What a key is promised of a limit of its team. */
interface Share {
  /** The field of LiteLLM that says it. */
  readonly field: string;
  /** Where the promise of a key stands in its document: under `limits`. */
  readonly path: readonly [string] | readonly [string, string];
  readonly asked: bigint;
  readonly most: bigint;
}

/** The whole limit, and those of single models: of a model that the team does not limit by itself, the team's whole. */
function sharesOf(
  own: Limits,
  whole: Limits,
  name: "rpmLimit" | "tpmLimit",
  ofModels: "modelRpmLimit" | "modelTpmLimit",
): Share[] {
  const shares: Share[] = Object.entries(own[ofModels]).flatMap(([model, asked]) => {
    const most = whole[ofModels][model] ?? whole[name];
    return most === undefined
      ? []
      : [{ field: LimitsSchema.field[ofModels].name, path: [ofModels, model], asked, most }];
  });
  const asked = own[name];
  const most = whole[name];
  if (asked === undefined || most === undefined) return shares;
  return [{ field: LimitsSchema.field[name].name, path: [name], asked, most }, ...shares];
}

async function requireShare(
  em: SqlEntityManager,
  { field, path, asked, most }: Share,
  teamId: string,
  keyId: string,
): Promise<void> {
  const promise = path.length === 1 ? "doc -> 'limits' ->> ?" : "doc -> 'limits' -> ? ->> ?";
  const [row] = await em.execute(
    `select coalesce(sum((${promise})::numeric), 0)::text as promised
     from auth.virtual_key where team_id = ? and key_id <> ?`,
    [...path, teamId, keyId],
  );
  const promised = BigInt(String(row?.promised ?? 0));
  if (promised + asked <= most) return;
  const what = path.length === 1 ? field : `${field} of ${path[1]}`;
  throw invalid(field, `The team's ${what} is ${most}, and ${promised} of it are promised to its other keys.`);
}

function invalid(field: string, message: string) {
  return gatewayError(Reason.INVALID_REQUEST, message, { param: field });
}
