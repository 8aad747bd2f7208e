import { create } from "@bufbuild/protobuf";
import { addDuration, parseDuration } from "#chassis/duration.ts";
import { gatewayError } from "#chassis/errors.ts";
import { type KeySettings, KeySettingsSchema } from "#gen/sluice/auth/v1/key_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { VirtualKeyRow } from "./db/entities.ts";
import { keyForm } from "./secret-key.ts";
import { writeDoc } from "./stored-doc.ts";

/** LiteLLM's kinds of keys: each is short for the routes that such a key may call. */
const routesOfType: Readonly<Record<string, readonly string[]>> = {
  default: [],
  llm_api: ["llm_api_routes"],
  management: ["management_routes"],
  read_only: ["info_routes"],
};

const throughputTypes: ReadonlySet<string> = new Set(["", "guaranteed_throughput", "best_effort_throughput"]);

/** The key that the caller chose. Undefined means a random one. @throws INVALID_REQUEST where it can be guessed. */
export function readChosenKey(key: string | undefined, field = "key"): string | undefined {
  if (key === undefined || key === "") return undefined;
  if (keyForm.test(key)) return key;
  throw invalid(field, "must start with sk-, have at least 16 characters and hold no spaces");
}

/** When a key ends that lives so long from now; null means never. */
export function readExpiry(duration: string | undefined, now: Date): Date | null {
  if (duration === undefined || duration === "" || duration === "-1") return null;
  return addDuration(now, parseDuration(duration));
}

/** The routes of a kind of keys. @throws INVALID_REQUEST where there is no such kind. */
export function routesOf(keyType: string | undefined): readonly string[] {
  const type = keyType === undefined || keyType === "" ? "default" : keyType;
  const routes = Object.hasOwn(routesOfType, type) ? routesOfType[type] : undefined;
  if (routes !== undefined) return routes;
  throw invalid("key_type", `must be one of ${Object.keys(routesOfType).join(", ")}`);
}

/**
 * The settings of a key, checked against each other and brought into one form: no text is empty, no model is named twice.
 * What a single value may be, the bounds of its field say, and they were checked before.
 */
export function readKeySettings(given: KeySettings | undefined): KeySettings {
  const settings = given ?? create(KeySettingsSchema);
  if (settings.models.includes("")) throw invalid("models", "must hold no empty name");
  settings.models = [...new Set(settings.models)];
  for (const [field, type] of [
    ["rpm_limit_type", settings.rpmLimitType],
    ["tpm_limit_type", settings.tpmLimitType],
  ] as const) {
    if (!throughputTypes.has(type ?? ""))
      throw invalid(field, "must be guaranteed_throughput or best_effort_throughput");
  }
  if ((settings.tempBudgetIncrease === undefined) !== (settings.tempBudgetExpiry === undefined)) {
    throw invalid("temp_budget_increase", "and temp_budget_expiry are given together");
  }
  if (settings.autoRotate === true && !settings.rotationInterval) {
    throw invalid("rotation_interval", "is needed where auto_rotate is set");
  }
  if (settings.metadata?.length === 0) delete settings.metadata;
  for (const name of ["keyAlias", "userId", "teamId", "organizationId", "projectId", "rotationInterval"] as const) {
    if (settings[name] === "") delete settings[name];
  }
  if (settings.keyAlias !== undefined) settings.keyAlias = readAlias(settings.keyAlias);
  return settings;
}

/** A text in the form of Unicode in which texts that look the same are the same: aliases are stored in it. */
export function oneForm(text: string): string {
  return text.normalize("NFC");
}

/**
 * An alias as it is stored. Characters that nobody sees, or that turn the
 * direction of writing, would let two aliases look the same.
 */
function readAlias(alias: string): string {
  if (/[\p{Cf}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/u.test(alias) || alias !== alias.trim()) {
    throw invalid("key_alias", "must hold no invisible characters, and no space at its ends");
  }
  return oneForm(alias);
}

/** The columns of a key's row that its settings decide. */
export function keyColumns(settings: KeySettings) {
  return {
    keyAlias: settings.keyAlias ?? null,
    userId: settings.userId ?? null,
    teamId: settings.teamId ?? null,
    organizationId: settings.organizationId ?? null,
    projectId: settings.projectId ?? null,
    doc: writeDoc(KeySettingsSchema, settings),
  } satisfies Partial<VirtualKeyRow>;
}

/** When a key is due to be replaced that was made, or replaced, at a moment. */
export function rotationDue(settings: KeySettings, from: Date): Date | null {
  if (settings.autoRotate !== true || settings.rotationInterval === undefined) return null;
  return addDuration(from, parseDuration(settings.rotationInterval));
}

function invalid(field: string, what: string) {
  return gatewayError(Reason.INVALID_REQUEST, `${field} ${what}.`, { param: field });
}
