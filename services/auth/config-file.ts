import { create, type DescField, fromJson, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { z } from "zod";
import { parseDuration } from "#chassis/duration.ts";
import { ConfigurationError } from "#chassis/environment.ts";
import { flag } from "#chassis/file-values.ts";
import { errorText } from "#chassis/log.ts";
import { checkBounds } from "#chassis/request-bounds.ts";
import { readSection, type YamlDocument } from "#chassis/yaml-file.ts";
import { KeySettingsSchema } from "#gen/sluice/auth/v1/key_pb.ts";
import { LimitsSchema } from "#gen/sluice/auth/v1/limits_pb.ts";
import type { KeyMakers, KeyPolicy } from "./key-policy.ts";

const params = z.record(z.string(), z.unknown()).nullish();
const names = z.array(z.string()).nullish();
const makers = z
  .object({ allowed_user_roles: names, allowed_team_member_roles: names, required_params: names })
  .nullish();
const litellmSchema = z
  .looseObject({
    default_key_generate_params: params,
    upperbound_key_generate_params: params,
    key_generation_settings: z.object({ team_key_generation: makers, personal_key_generation: makers }).nullish(),
    enable_key_alias_format_validation: flag,
  })
  .nullish();
const generalSchema = z.looseObject({ default_team_disabled: flag }).nullish();

/** Limits that a cap can be set for, as LiteLLM has them; `duration` beside them. */
const capped: ReadonlySet<string> = new Set([
  "max_budget",
  "budget_duration",
  "max_parallel_requests",
  "tpm_limit",
  "rpm_limit",
]);
const dollars: ReadonlySet<string> = new Set(["max_budget", "soft_budget"]);
/** What a key cannot have by default: it would be no default, or is a structure that the file is not read for. */
const noDefault: ReadonlySet<string> = new Set([
  "key_alias",
  "model_max_budget",
  "budget_limits",
  "temp_budget_increase",
  "temp_budget_expiry",
  "limits",
]);

/**
 * Reads what a LiteLLM configuration says about keys: `default_key_generate_params`, `upperbound_key_generate_params`,
 * `key_generation_settings` and `enable_key_alias_format_validation` of `litellm_settings`, and `default_team_disabled` of
 * `general_settings`. A warning is one sentence: a parameter that has no effect.
 *
 * @throws ConfigurationError where a value is wrong.
 */
export function readKeyPolicy(document: YamlDocument): { policy: KeyPolicy; warnings: string[] } {
  const litellm = readSection(document, ["litellm_settings"], litellmSchema) ?? {};
  const general = readSection(document, ["general_settings"], generalSchema) ?? {};
  const warnings: string[] = [];
  const defaults = readParams("default_key_generate_params", litellm.default_key_generate_params ?? {}, warnings);
  const caps = readParams("upperbound_key_generate_params", litellm.upperbound_key_generate_params ?? {}, warnings);
  const { team_key_generation: team, personal_key_generation: personal } = litellm.key_generation_settings ?? {};
  const policy: KeyPolicy = {
    defaults,
    caps: { limits: caps.settings.limits ?? create(LimitsSchema), duration: caps.duration },
    teamKeys: readMakers(team, team?.allowed_team_member_roles),
    personalKeys: readMakers(personal, personal?.allowed_user_roles),
    teamRequired: general.default_team_disabled ?? false,
    aliasFormat: litellm.enable_key_alias_format_validation ?? false,
  };
  return { policy, warnings };
}

function readMakers(section: z.output<typeof makers>, roles: readonly string[] | null | undefined) {
  if (section === null || section === undefined) return undefined;
  return { roles: roles ?? undefined, requiredParams: section.required_params ?? [] } satisfies KeyMakers;
}

type ParamsSection = "default_key_generate_params" | "upperbound_key_generate_params";

function readParams(section: ParamsSection, given: Record<string, unknown>, warnings: string[]) {
  const where = `litellm_settings.${section}`;
  const settings: JsonObject = {};
  const limits: JsonObject = {};
  let duration: string | undefined;
  for (const [name, value] of Object.entries(given)) {
    if (value === null || value === undefined) continue;
    const field = fieldOf(section, name);
    if (name === "duration") duration = readDuration(`${where}.duration`, value);
    else if (field === undefined) warnings.push(`${where}.${name} is not built yet and has no effect`);
    else (field.parent.name === LimitsSchema.name ? limits : settings)[name] = toJson(name, value);
  }
  try {
    const read = fromJson(KeySettingsSchema, { ...settings, limits });
    checkBounds(KeySettingsSchema, read);
    return { settings: read, duration };
  } catch (error) {
    throw new ConfigurationError(`${where}: ${errorText(error)}`);
  }
}

function fieldOf(section: ParamsSection, name: string): DescField | undefined {
  if (noDefault.has(name) || (section === "upperbound_key_generate_params" && !capped.has(name))) return undefined;
  return [...LimitsSchema.fields, ...KeySettingsSchema.fields].find((field) => field.name === name);
}

function readDuration(where: string, value: unknown): string {
  try {
    parseDuration(String(value));
    return String(value);
  } catch (error) {
    throw new ConfigurationError(`${where}: ${errorText(error)}`);
  }
}

/** The value in protobuf's JSON mapping: money in billionths, JSON in Base64. */
function toJson(name: string, value: unknown): JsonValue {
  if (name === "metadata") return Buffer.from(JSON.stringify(value)).toString("base64");
  if (dollars.has(name) && Number.isFinite(value)) return String(BigInt(Math.round(Number(value) * 1e6)) * 1000n);
  return value as JsonValue;
}
