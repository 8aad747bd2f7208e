import type { JsonObject } from "@bufbuild/protobuf";
import { KeySettingsSchema } from "#gen/sluice/auth/v1/key_pb.ts";
import type { VirtualKeyRow } from "../../../auth/db/entities.ts";
import { keyKind } from "../../../auth/import/import-kind.ts";
import { keyColumns, readKeySettings, rotationDue } from "../../../auth/key-input.ts";
import { authorshipOf, dateOf, type Left, objectOf, omit, pick, textOf, unread } from "./fields.ts";
import { modelBudgets, readSettings } from "./settings.ts";
import { type Budgets, budgetsOf, type Step, windowOf } from "./step.ts";

/** Columns that are settings here, under the same names. */
const settingColumns = [
  ...["key_alias", "models", "user_id", "team_id", "organization_id", "project_id", "blocked", "aliases"],
  ...["max_budget", "budget_duration", "tpm_limit", "rpm_limit", "max_parallel_requests", "budget_limits", "budget_id"],
  ...["allowed_routes", "access_group_ids", "auto_rotate", "rotation_interval"],
];
/** Members of LiteLLM's metadata that are settings here. */
export const settingsInMetadata = [
  ...["tags", "model_rpm_limit", "model_tpm_limit", "rpm_limit_type", "tpm_limit_type"],
  ...["temp_budget_increase", "temp_budget_expiry"],
];
/** Members of LiteLLM's metadata that may hold credentials: metadata can be read here by whoever reads the key. */
export const secretMetadata = ["logging", "secret_manager_settings"];
/** Members of LiteLLM's metadata that restrict calls there; they stay in the metadata. */
const effectiveMetadata = [
  ...["guardrails", "policies", "prompts", "enforced_params", "allowed_passthrough_routes", "mcp_rpm_limit"],
  ...["allowed_vector_store_indexes", "disable_global_guardrails", "tag_rpm_limit", "priority"],
  ...["enforced_file_expires_after", "enforced_batch_output_expires_after"],
];
/** Columns that were read otherwise, and counters. */
const readColumns = [
  ...settingColumns,
  ...["token", "key_name", "metadata", "model_max_budget", "expires", "spend", "budget_reset_at", "rotation_count"],
  ...["last_rotation_at", "key_rotation_at", "created_at", "created_by", "updated_at", "updated_by", "last_active"],
  ...["settings_updated_at", "total_spend", "model_spend", "key_type", "soft_budget_cooldown"],
];
const unbuilt = "has no effect here yet";

/** LiteLLM's own sessions of its console. */
const consoleTeam = "litellm-dashboard";

export const keys: Step<VirtualKeyRow, Budgets> = {
  label: "keys",
  table: "LiteLLM_VerificationToken",
  key: ["token"],
  kind: keyKind,
  prepare: budgetsOf,
  read(row, known, now) {
    const keyId = String(row.token);
    const name = textOf(row.key_alias) ?? `${textOf(row.key_name) ?? "sk-..."} (${keyId.slice(0, 8)})`;
    const fault = keyFault(row, keyId);
    if (fault !== undefined) return [{ name, row: { leftBecause: fault }, left: [] }];
    const { metadata, left: leftMetadata } = splitMetadata(row);
    const input = {
      ...pick(row, settingColumns),
      ...pick(objectOf(row.metadata), settingsInMetadata),
      model_max_budget: modelBudgets(row.model_max_budget),
      metadata,
    };
    const { settings, left } = readSettings(KeySettingsSchema, input, readKeySettings);
    const authorship = authorshipOf(row, now);
    const rotatedAt = dateOf(row.last_rotation_at) ?? null;
    const due = rotationDue(settings, rotatedAt ?? authorship.createdAt);
    return [
      {
        name,
        row: {
          ...keyColumns(settings),
          ...authorship,
          keyId,
          keyName: textOf(row.key_name) ?? "sk-...",
          expiresAt: dateOf(row.expires) ?? null,
          rotationCount: typeof row.rotation_count === "number" ? row.rotation_count : 0,
          rotatedAt,
          rotateAt: due && (dateOf(row.key_rotation_at) ?? due),
        },
        left: [...left, ...leftMetadata, ...unread(row, readColumns, unbuilt)],
        spend: { spend: row.spend, window: windowOf(row, known) },
      },
    ];
  },
};

function keyFault(row: JsonObject, keyId: string): string | undefined {
  if (row.team_id === consoleTeam) return "it is a session of LiteLLM's console";
  return /^[0-9a-f]{64}$/.test(keyId) ? undefined : "it is stored there as no hash: nothing can be called with it here";
}

/** Metadata without what is a setting here, and what of it does not come along or has no effect. */
export function splitMetadata(row: JsonObject, moved: readonly string[] = settingsInMetadata) {
  const all = objectOf(row.metadata);
  const left: Left[] = [
    ...Object.keys(pick(all, secretMetadata)).map((name) => ({
      field: `metadata.${name}`,
      reason: "is not taken: it may hold credentials",
    })),
    ...unread(pick(all, effectiveMetadata), [], unbuilt).map(({ field, reason }) => ({
      field: `metadata.${field}`,
      reason,
    })),
  ];
  return { metadata: omit(all, [...moved, ...secretMetadata]), left };
}
