import { create } from "@bufbuild/protobuf";
import { gatewayError } from "#chassis/errors.ts";
import { type TeamSettings, TeamSettingsSchema } from "#gen/sluice/auth/v1/team_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { TeamRow } from "./db/entities.ts";
import { writeDoc } from "./stored-doc.ts";
import { readPermissions } from "./team-permissions.ts";

const throughputTypes: ReadonlySet<string> = new Set(["", "guaranteed_throughput", "best_effort_throughput"]);

/** The settings of a team, checked against each other and brought into one form: no text is empty. */
export function readTeamSettings(given: TeamSettings | undefined): TeamSettings {
  const settings = given ?? create(TeamSettingsSchema);
  settings.models = readModels(settings.models);
  settings.teamMemberPermissions = readPermissions(settings.teamMemberPermissions);
  settings.accessGroupIds = [...new Set(settings.accessGroupIds)];
  for (const [param, type] of [
    ["rpm_limit_type", settings.rpmLimitType],
    ["tpm_limit_type", settings.tpmLimitType],
  ] as const) {
    if (throughputTypes.has(type ?? "")) continue;
    throw gatewayError(Reason.INVALID_REQUEST, `${param} must be guaranteed_throughput or best_effort_throughput.`, {
      param,
    });
  }
  if (settings.metadata?.length === 0) delete settings.metadata;
  for (const name of ["teamAlias", "organizationId", "teamMemberBudgetDuration", "teamMemberKeyDuration"] as const) {
    if (settings[name] === "") delete settings[name];
  }
  return settings;
}

/** A list of models in one form: no name is empty, none is there twice. */
export function readModels(models: readonly string[]): string[] {
  if (!models.includes("")) return [...new Set(models)];
  throw gatewayError(Reason.INVALID_REQUEST, "models must hold no empty name.", { param: "models" });
}

/** The columns of a team's row that its settings decide. */
export function teamColumns(settings: TeamSettings) {
  return {
    teamAlias: settings.teamAlias ?? null,
    organizationId: settings.organizationId ?? null,
    doc: writeDoc(TeamSettingsSchema, settings),
  } satisfies Partial<TeamRow>;
}
