import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import { requireCaller } from "#chassis/access.ts";
import { type ModelGroupInfo, ModelGroupInfoSchema } from "#gen/sluice/router/v1/model_pb.ts";
import type { ModelService } from "#gen/sluice/router/v1/model_service_pb.ts";
import { levelsAllow } from "../../model-rights.ts";
import type { AdminContext } from "../../models/admin-context.ts";
import { usdPerToken } from "../../models/model-view.ts";
import { visibleMembers } from "../../models/visible-models.ts";
import type { Rates } from "../../prices/price.ts";
import type { RegistryMember } from "../../registry/registry.ts";

export function createListModelGroups(context: AdminContext): ServiceImpl<typeof ModelService>["listModelGroups"] {
  return ({ modelGroup, callerModels }, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const visible = visibleMembers(context.live.current, { caller, models: callerModels });
    const groups = Map.groupBy(visible, ({ config }) => config.modelName);
    const names = modelGroup ? [modelGroup] : [...groups.keys()].sort();
    const data = names.flatMap((name) => {
      const members = groups.get(name) ?? [];
      if (members.length > 0) return describe(name, members, context);
      const { registry, names: providers } = context.live.current;
      if (!levelsAllow(callerModels, name, { registry, names: providers })) return [];
      return describe(name, onDemand(context, name, caller.teamId), context);
    });
    return { data };
  };
}

/** What a pattern, an alias or a provider serves under a name. */
function onDemand({ live }: AdminContext, name: string, teamId: string): RegistryMember[] {
  const { registry } = live.current;
  const configs = new Map(registry.members.map((member) => [member.id, member.config]));
  return (registry.resolve(name, teamId)?.deployments ?? []).flatMap((deployment) => {
    const config = configs.get(deployment.id);
    return config === undefined ? [] : [{ config, id: deployment.id, deployment }];
  });
}

function describe(name: string, members: readonly RegistryMember[], { prober, clock }: AdminContext): ModelGroupInfo[] {
  if (members.length === 0) return [];
  const infos = members.map(({ config }) => config.about.info);
  const rates = members.flatMap(({ deployment }) => deployment?.price(clock())?.base ?? []);
  const checks = members.flatMap(({ id }) => prober.latest(id) ?? []);
  const latest = checks.reduce<(typeof checks)[number] | undefined>(
    (last, check) => (last === undefined || check.checkedAt > last.checkedAt ? check : last),
    undefined,
  );
  const supports = (what: string) => infos.some((info) => info[`supports_${what}`] === true);
  return [
    create(ModelGroupInfoSchema, {
      modelGroup: name,
      providers: [
        ...new Set(members.flatMap(({ deployment, config }) => deployment?.provider ?? config.provider ?? [])),
      ],
      maxInputTokens: largest(infos.map(({ max_input_tokens: tokens }) => tokens)),
      maxOutputTokens: largest(members.map(({ config }) => config.maxOutputTokens)),
      inputCostPerToken: dearest(rates, "input"),
      outputCostPerToken: dearest(rates, "output"),
      mode: members[0]?.config.about.mode,
      tpm: sum(members.map(({ config }) => config.tpm)),
      rpm: sum(members.map(({ config }) => config.rpm)),
      supportsParallelFunctionCalling: supports("parallel_function_calling"),
      supportsVision: supports("vision"),
      supportsWebSearch: supports("web_search"),
      supportsUrlContext: supports("url_context"),
      supportsReasoning: supports("reasoning"),
      supportsFunctionCalling: supports("function_calling"),
      healthStatus: latest && (checks.some(({ healthy }) => healthy) ? "healthy" : "unhealthy"),
      healthResponseTime: latest?.responseTimeMs,
      healthCheckedAt: latest && timestampFromDate(latest.checkedAt),
    }),
  ];
}

function largest(values: readonly unknown[]): number | undefined {
  const numbers = values.filter((value): value is number => typeof value === "number");
  return numbers.length === 0 ? undefined : Math.max(...numbers);
}

function sum(values: readonly (number | undefined)[]): bigint | undefined {
  const numbers = values.filter((value) => value !== undefined);
  return numbers.length === 0 ? undefined : BigInt(numbers.reduce((total, value) => total + value, 0));
}

function dearest(rates: readonly Rates[], key: "input" | "output"): number | undefined {
  return largest(rates.map((each) => usdPerToken(each[key])));
}
