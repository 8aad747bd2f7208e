import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { AccessGroupSettingsSchema } from "#gen/sluice/auth/v1/access_group_pb.ts";
import { AccessGroup } from "./db/entities.ts";
import { readDoc } from "./stored-doc.ts";

/** LiteLLM's word for no model at all: a list of models without an entry stands for every model. */
export const noModels = "no-default-models";

/** What stands for models without naming one: it narrows to what holds anyway. */
const neutral: ReadonlySet<string> = new Set([noModels, "all-team-models"]);
const everyModel: ReadonlySet<string> = new Set(["*", "all-proxy-models"]);

/**
 * The models of `inner` that are not among those of `outer`; groups stand for their models on either side. An outer list
 * without an entry allows everything, and an inner one follows the outer.
 */
export async function modelsBeyond(
  em: SqlEntityManager,
  outer: readonly string[],
  inner: readonly string[],
): Promise<string[]> {
  if (outer.length === 0 || inner.length === 0 || outer.some((model) => everyModel.has(model))) return [];
  const groups = await groupsNamed(em, [...outer, ...inner]);
  const expand = (models: readonly string[]) => models.flatMap((model) => groups.get(model) ?? [model]);
  const allowed = [...outer, ...expand(outer)];
  const patterns = allowed.filter((model) => model.includes("*")).map(patternOf);
  const isAllowed = (model: string) =>
    neutral.has(model) || allowed.includes(model) || patterns.some((pattern) => pattern.test(model));
  return inner.filter((model) => !isAllowed(model) && !(groups.get(model) ?? [model]).every(isAllowed));
}

async function groupsNamed(em: SqlEntityManager, models: readonly string[]): Promise<Map<string, string[]>> {
  const rows = await em.find(AccessGroup, { accessGroupName: { $in: [...new Set(models)] } });
  return new Map(
    rows.map(({ accessGroupName, doc }) => [accessGroupName, readDoc(AccessGroupSettingsSchema, doc).accessModelNames]),
  );
}

/** Several stars in a row are one, so that no pattern takes long to fail. */
function patternOf(model: string): RegExp {
  const literal = model.split(/\*+/).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${literal.join(".*")}$`, "s");
}
