import { create } from "@bufbuild/protobuf";
import { z } from "zod";
import { parseDuration } from "#chassis/duration.ts";
import { ConfigurationError } from "#chassis/environment.ts";
import { numberIn } from "#chassis/file-values.ts";
import { errorText } from "#chassis/log.ts";
import { readSection, type YamlDocument } from "#chassis/yaml-file.ts";
import { type Limits, LimitsSchema } from "#gen/sluice/auth/v1/limits_pb.ts";

/** What the configuration file says about everybody, beside its rules for keys. */
export interface TenancyRules {
  /** What all calls of the gateway may cost together; undefined means that nothing bounds it. */
  readonly gateway: Limits | undefined;
  /** What holds for a customer who has no limits; undefined means nothing. */
  readonly customer: Limits | undefined;
  /** Teams that every internal user may join by itself. */
  readonly availableTeams: readonly string[];
}

/** The rules of a gateway whose file has none. */
export const noTenancyRules: TenancyRules = { gateway: undefined, customer: undefined, availableTeams: [] };

const dollars = numberIn(z.number().nonnegative().max(1e9));
const schema = z
  .looseObject({
    max_budget: dollars,
    budget_duration: z.string().nullish(),
    max_end_user_budget: dollars,
    max_end_user_budget_id: z.string().min(1).max(256).nullish(),
    default_internal_user_params: z.looseObject({ available_teams: z.array(z.string().min(1)).nullish() }).nullish(),
  })
  .nullish();

/** What of `default_internal_user_params` the login of browsers reads. */
const ofLogins: ReadonlySet<string> = new Set(["user_role", "models", "max_budget", "budget_duration"]);

/**
 * Reads `max_budget`, `budget_duration`, `max_end_user_budget`, `max_end_user_budget_id` and `available_teams` of
 * `default_internal_user_params` from a LiteLLM configuration's `litellm_settings`. A `max_budget` of 0 is none, as in
 * LiteLLM. A warning is one sentence: a parameter that has no effect.
 *
 * @throws ConfigurationError where a value is wrong.
 */
export function readTenancyRules(document: YamlDocument): { rules: TenancyRules; warnings: string[] } {
  const settings = readSection(document, ["litellm_settings"], schema) ?? {};
  const { max_budget: maxBudget, budget_duration: budgetDuration } = settings;
  const { max_end_user_budget: maxOfCustomer, max_end_user_budget_id: budgetOfCustomer } = settings;
  const { available_teams: availableTeams, ...others } = settings.default_internal_user_params ?? {};
  const warnings = Object.keys(others).map((name) => {
    const effect = ofLogins.has(name)
      ? "holds for people who log in, and nobody else yet"
      : "is not built yet and has no effect";
    return `litellm_settings.default_internal_user_params.${name} ${effect}`;
  });
  if (!maxBudget && budgetDuration) warnings.push("litellm_settings.budget_duration has no effect without max_budget");
  const customer = create(LimitsSchema, {
    budgetId: budgetOfCustomer ?? undefined,
    maxBudget: nanoUsd(maxOfCustomer),
  });
  const rules: TenancyRules = {
    gateway: maxBudget
      ? create(LimitsSchema, { maxBudget: nanoUsd(maxBudget), budgetDuration: readWindow(budgetDuration) })
      : undefined,
    customer: customer.budgetId === undefined && customer.maxBudget === undefined ? undefined : customer,
    availableTeams: [...new Set(availableTeams ?? [])],
  };
  return { rules, warnings };
}

function readWindow(duration: string | null | undefined): string | undefined {
  if (!duration) return undefined;
  try {
    const { amount, unit } = parseDuration(duration);
    if (unit === "mo" && amount > 1) throw new Error(`'${duration}' is several months: a budget window is one or none`);
    return duration;
  } catch (error) {
    throw new ConfigurationError(`litellm_settings.budget_duration: ${errorText(error)}`);
  }
}

function nanoUsd(usd: number | null | undefined): bigint | undefined {
  return usd === null || usd === undefined ? undefined : BigInt(Math.round(usd * 1e6)) * 1000n;
}
