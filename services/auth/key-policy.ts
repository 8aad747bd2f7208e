import { clone, create, equals, isFieldSet } from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { isProxyAdmin } from "#chassis/caller-header.ts";
import { addDuration, parseDuration } from "#chassis/duration.ts";
import { gatewayError } from "#chassis/errors.ts";
import { type KeySettings, KeySettingsSchema } from "#gen/sluice/auth/v1/key_pb.ts";
import { type GenerateKeyRequest, GenerateKeyRequestSchema } from "#gen/sluice/auth/v1/key_service_pb.ts";
import { type Limits, LimitsSchema } from "#gen/sluice/auth/v1/limits_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { type AdminCaller, RoleSchema } from "#gen/sluice/rest/v1/caller_pb.ts";

/** What the configuration file says about keys. */
export interface KeyPolicy {
  /** `default_key_generate_params`: what a new key has where its request says nothing. */
  readonly defaults: KeyDefaults;
  /** `upperbound_key_generate_params`: no key has more, and a new one that asks for nothing has just that. */
  readonly caps: KeyCaps;
  /** `key_generation_settings`: who makes keys of teams, and keys without one. Undefined means whoever may. */
  readonly teamKeys: KeyMakers | undefined;
  readonly personalKeys: KeyMakers | undefined;
  /** `default_team_disabled`: a key needs a team. */
  readonly teamRequired: boolean;
  /** `enable_key_alias_format_validation`. */
  readonly aliasFormat: boolean;
}

export interface KeyDefaults {
  readonly settings: KeySettings;
  readonly duration: string | undefined;
}

export interface KeyCaps {
  readonly limits: Limits;
  readonly duration: string | undefined;
}

export interface KeyMakers {
  /** Of a team's key, roles in the team: `admin`, `user`; of any other, names of roles. Undefined means all. */
  readonly roles: readonly string[] | undefined;
  /** Fields that a request has to give. */
  readonly requiredParams: readonly string[];
}

/** The policy of a gateway whose file says nothing about keys. */
export const noKeyPolicy: KeyPolicy = {
  defaults: { settings: create(KeySettingsSchema), duration: undefined },
  caps: { limits: create(LimitsSchema), duration: undefined },
  teamKeys: undefined,
  personalKeys: undefined,
  teamRequired: false,
  aliasFormat: false,
};

/** LiteLLM's form of an alias: 2 to 255 characters, the first and last of them letters or digits. */
const aliasForm = /^[a-zA-Z0-9][a-zA-Z0-9_\-/.@]{0,253}[a-zA-Z0-9]$/;

/** Puts the defaults, and then the caps, where a request for a new key says nothing. */
export function fillRequest({ defaults, caps }: KeyPolicy, request: GenerateKeyRequest): void {
  request.settings ??= create(KeySettingsSchema);
  fill(
    reflect(KeySettingsSchema, request.settings),
    reflect(KeySettingsSchema, clone(KeySettingsSchema, defaults.settings)),
  );
  request.duration = request.duration || defaults.duration || caps.duration;
  request.settings.limits ??= create(LimitsSchema);
  fill(reflect(LimitsSchema, request.settings.limits), reflect(LimitsSchema, caps.limits));
}

function fill(target: ReflectMessage, source: ReflectMessage): void {
  for (const field of source.fields) {
    if (!source.isSet(field)) continue;
    if (!target.isSet(field)) target.set(field, source.get(field));
    else if (field.fieldKind === "message") fill(target.get(field), source.get(field));
  }
}

/** @throws INVALID_REQUEST where a new key would have more than the caps, or an alias out of form. */
export function requireWithinPolicy(policy: KeyPolicy, settings: KeySettings, duration: string | undefined): void {
  requireAlias(policy, settings);
  requireWithinCaps(policy.caps, settings.limits ?? create(LimitsSchema));
  requireLifetime(policy.caps, duration);
}

/** The same for a changed key: what it had before may stay. */
export function requireChangeWithinPolicy(
  policy: KeyPolicy,
  before: KeySettings,
  after: KeySettings,
  duration: string | undefined,
): void {
  if (after.keyAlias !== before.keyAlias) requireAlias(policy, after);
  const limits = after.limits ?? create(LimitsSchema);
  if (!equals(LimitsSchema, before.limits ?? create(LimitsSchema), limits)) requireWithinCaps(policy.caps, limits);
  if (duration !== undefined) requireLifetime(policy.caps, duration);
}

function requireAlias({ aliasFormat }: KeyPolicy, { keyAlias }: KeySettings): void {
  if (!aliasFormat || keyAlias === undefined || aliasForm.test(keyAlias)) return;
  throw invalid("key_alias", "must have 2 to 255 letters, digits, _ - / . @, and begin and end with a letter or digit");
}

const counted = ["maxBudget", "tpmLimit", "rpmLimit", "maxParallelRequests"] as const;

function requireWithinCaps({ limits: caps }: KeyCaps, limits: Limits): void {
  for (const name of counted) {
    const cap = caps[name];
    if (cap !== undefined && (limits[name] === undefined || limits[name] > cap)) {
      throw aboveCap(LimitsSchema.field[name].name);
    }
  }
  if (caps.budgetDuration !== undefined && isLonger(limits.budgetDuration, caps.budgetDuration)) {
    throw aboveCap("budget_duration");
  }
}

function requireLifetime({ duration: cap }: KeyCaps, duration: string | undefined): void {
  if (cap !== undefined && isLonger(duration, cap)) throw aboveCap("duration");
}

/** No duration is for ever. */
function isLonger(duration: string | undefined, cap: string): boolean {
  if (duration === undefined || duration === "" || duration === "-1") return true;
  const from = new Date(0);
  return addDuration(from, parseDuration(duration)) > addDuration(from, parseDuration(cap));
}

function aboveCap(field: string) {
  return invalid(field, "is above the upper bound that the gateway's administrator has set for keys");
}

/**
 * Checks who may make such a key at all.
 *
 * @param isTeamAdmin Whether the caller is an admin of the key's team.
 * @throws PERMISSION_DENIED, or INVALID_REQUEST where a required field is missing.
 */
export function requireMaker(
  policy: KeyPolicy,
  caller: AdminCaller,
  request: GenerateKeyRequest,
  isTeamAdmin: boolean,
): void {
  const isTeamKey = Boolean(request.settings?.teamId);
  if (policy.teamRequired && !isTeamKey) throw invalid("team_id", "is required: keys without a team are disabled");
  const makers = isTeamKey ? policy.teamKeys : policy.personalKeys;
  if (makers === undefined || (isTeamKey && isProxyAdmin(caller))) return;
  const own = isTeamKey ? [isTeamAdmin ? "admin" : "user"] : roleNames(caller);
  if (!isProxyAdmin(caller) && makers.roles !== undefined && !own.some((role) => makers.roles?.includes(role))) {
    throw gatewayError(
      Reason.PERMISSION_DENIED,
      `The gateway's administrator lets only these roles make ${isTeamKey ? "keys of teams" : "keys without a team"}: ${makers.roles.join(", ")}.`,
      { param: "team_id" },
    );
  }
  for (const name of makers.requiredParams) {
    if (!isGiven(request, name)) throw invalid(name, "is required by the gateway's administrator");
  }
}

function roleNames({ roles }: AdminCaller): string[] {
  return roles.map((role) => RoleSchema.value[role]?.localName.toLowerCase() ?? "");
}

/** Whether a request has a field, be it the request's own, a setting or a limit. */
function isGiven(request: GenerateKeyRequest, name: string): boolean {
  const { settings } = request;
  const own = GenerateKeyRequestSchema.fields.find((field) => field.name === name);
  const setting = KeySettingsSchema.fields.find((field) => field.name === name);
  const limit = LimitsSchema.fields.find((field) => field.name === name);
  if (own !== undefined && isFieldSet(request, own)) return true;
  if (settings === undefined) return false;
  if (setting !== undefined && isFieldSet(settings, setting)) return true;
  return limit !== undefined && settings.limits !== undefined && isFieldSet(settings.limits, limit);
}

function invalid(field: string, what: string) {
  return gatewayError(Reason.INVALID_REQUEST, `${field} ${what}.`, { param: field });
}
