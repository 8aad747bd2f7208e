import { LockMode } from "@mikro-orm/core";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { touch } from "#chassis/authorship.ts";
import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";
import { StoredDeployment, type StoredDeploymentRow } from "../db/entities.ts";
import { jsonObject } from "../masking.ts";
import type { Registry } from "../registry/registry.ts";
import { invalid } from "./model-input.ts";

/** What is to be in a group: deployments by their ids, else by their names. */
export interface GroupSelection {
  readonly modelNames: readonly string[];
  readonly modelIds: readonly string[];
}

const lock = { lockMode: LockMode.PESSIMISTIC_WRITE } as const;

/** @throws NOT_FOUND where no deployment is in the group. */
export function requireAccessGroup({ members }: Registry, group: string) {
  const own = members.filter(
    ({ config: { about } }) => about.teamId === undefined && about.accessGroups.includes(group),
  );
  if (own.length > 0) return own;
  throw gatewayError(Reason.NOT_FOUND, `Access group '${group}' not found`, { param: "access_group" });
}

/**
 * The deployments of the database that a selection means, locked.
 *
 * @throws INVALID_REQUEST where a name or an id has none.
 */
export async function selectModels(em: SqlEntityManager, selection: GroupSelection): Promise<StoredDeploymentRow[]> {
  const { modelNames, modelIds } = selection;
  const byId = modelIds.length > 0;
  if (!byId && modelNames.length === 0) throw invalid("model_names", "Name the models by model_names or model_ids.");
  const where = byId ? { modelId: { $in: [...modelIds] } } : { modelName: { $in: [...modelNames] } };
  const rows = await em.find(StoredDeployment, { ...where, teamId: null }, lock);
  const found = new Set(rows.map((row) => (byId ? row.modelId : row.modelName)));
  const missing = (byId ? modelIds : modelNames).filter((name) => !found.has(name));
  if (missing.length === 0) return rows;
  const field = byId ? "model_ids" : "model_names";
  throw invalid(
    field,
    `Not in the database: ${missing.join(", ")}. Models of the configuration file name their groups there.`,
  );
}

/** The deployments of the database that are in a group, locked. */
export async function modelsInGroup(em: SqlEntityManager, group: string): Promise<StoredDeploymentRow[]> {
  const found = await em.execute<{ model_id: string }[]>(
    "select model_id from router.deployment where model_info -> 'access_groups' @> ?::jsonb",
    [JSON.stringify([group])],
  );
  return em.find(StoredDeployment, { modelId: { $in: found.map(({ model_id }) => model_id) } }, lock);
}

/** Puts a deployment into a group, or takes it out. */
export function setMembership(
  row: StoredDeploymentRow,
  group: string,
  belongs: boolean,
  caller: AdminCaller,
  now: Date,
): void {
  const info = jsonObject({ ...row.modelInfo });
  const groups = Array.isArray(info.access_groups) ? info.access_groups : [];
  const others = groups.filter((name) => name !== group);
  row.modelInfo = { ...info, access_groups: belongs ? [...others, group] : others };
  touch(row, caller, now);
}
