import type { ServiceImpl } from "@connectrpc/connect";
import { requireCaller } from "#chassis/access.ts";
import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";
import type { ModelService, PageModelInfoRequest } from "#gen/sluice/router/v1/model_service_pb.ts";
import type { AdminContext } from "../../models/admin-context.ts";
import { invalid } from "../../models/model-input.ts";
import { modelInfoView } from "../../models/model-view.ts";
import { accessFacts, visibleMembers } from "../../models/visible-models.ts";
import type { RegistryMember } from "../../registry/registry.ts";

type SortKey = (member: RegistryMember, now: number) => string | number;

const defaultSize = 50;

/** What can be sorted by. */
const sortKeys: ReadonlyMap<string, SortKey> = new Map<string, SortKey>([
  ["model_name", ({ config }) => config.modelName],
  ["created_at", ({ config }) => config.stored?.createdAt.getTime() ?? 0],
  ["updated_at", ({ config }) => config.stored?.updatedAt.getTime() ?? 0],
  ["costs", ({ deployment }, now) => costOf(deployment?.price(now)?.base)],
  ["status", ({ config }) => (config.stored === undefined ? "config" : "db")],
]);

/** All that there is stands in memory, so that a page takes no question to the database. */
export function createPageModelInfo({ live, clock }: AdminContext): ServiceImpl<typeof ModelService>["pageModelInfo"] {
  return (request, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const { page = 1, size = defaultSize } = request;
    if (page < 1) throw invalid("page", "page must be at least 1.");
    if (size < 1) throw invalid("size", "size must be at least 1.");
    const now = clock();
    const viewer = { caller, models: request.callerModels, teamId: request.teamId };
    const wanted = visibleMembers(live.current, viewer).filter((member) => matches(member, request, caller));
    const sorted = sort(wanted, request, now);
    const data = sorted
      .slice((page - 1) * size, page * size)
      .map((member) => modelInfoView(member, now, request.includeTeamModels ? accessFacts(member) : {}));
    const totalPages = Math.ceil(sorted.length / size);
    return { data, totalCount: sorted.length, currentPage: page, totalPages, size };
  };
}

function matches({ config, id }: RegistryMember, request: PageModelInfoRequest, caller: AdminCaller): boolean {
  const { model, modelId, search, userModelsOnly } = request;
  if (model && config.modelName !== model) return false;
  if (modelId && id !== modelId) return false;
  if (userModelsOnly && (caller.userId === "" || config.stored?.createdBy !== caller.userId)) return false;
  return !search || config.modelName.toLowerCase().includes(search.toLowerCase());
}

function sort(members: readonly RegistryMember[], { sortBy, sortOrder }: PageModelInfoRequest, now: number) {
  if (sortOrder && sortOrder !== "asc" && sortOrder !== "desc")
    throw invalid("sortOrder", "sortOrder must be asc or desc.");
  if (!sortBy) return members;
  const keyOf = sortKeys.get(sortBy);
  if (keyOf === undefined) throw invalid("sortBy", `sortBy must be one of ${[...sortKeys.keys()].join(", ")}.`);
  const direction = sortOrder === "desc" ? -1 : 1;
  const keyed = members.map((member) => ({ member, key: keyOf(member, now) }));
  return keyed.sort((a, b) => direction * (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)).map(({ member }) => member);
}

/** A model of unknown price comes first. */
function costOf(rates: { readonly input: bigint; readonly output: bigint } | undefined): number {
  return rates === undefined ? -1 : Number(rates.input + rates.output);
}
