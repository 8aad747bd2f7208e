import type { JsonObject } from "@bufbuild/protobuf";
import { AccessGroupSettingsSchema } from "#gen/sluice/auth/v1/access_group_pb.ts";
import { CustomerSettingsSchema } from "#gen/sluice/auth/v1/customer_pb.ts";
import { LimitsSchema } from "#gen/sluice/auth/v1/limits_pb.ts";
import { TagSettingsSchema } from "#gen/sluice/auth/v1/tag_pb.ts";
import type { AccessGroupRow, BudgetRow, CustomerRow, TagRow } from "../../../auth/db/entities.ts";
import { accessGroupKind, budgetKind, customerKind, tagKind } from "../../../auth/import/import-kind.ts";
import { writeDoc } from "../../../auth/stored-doc.ts";
import { authorshipOf, listOf, objectOf, pick, textOf, unread } from "./fields.ts";
import { modelBudgets, readSettings } from "./settings.ts";
import { type Budgets, budgetsOf, type Step, windowOf } from "./step.ts";

const unbuilt = "has no effect here yet";
const dated = ["created_at", "created_by", "updated_at", "updated_by"];
const limits = ["max_budget", "soft_budget", "budget_duration", "tpm_limit", "rpm_limit", "max_parallel_requests"];

export const budgets: Step<BudgetRow, undefined> = {
  label: "budgets",
  table: "LiteLLM_BudgetTable",
  key: ["budget_id"],
  kind: budgetKind,
  prepare: async () => undefined,
  read(row, _, now) {
    const input = { ...pick(row, limits), model_max_budget: modelBudgets(row.model_max_budget) };
    const { settings, left } = readSettings(LimitsSchema, input);
    const budgetId = String(row.budget_id);
    // The models of a member are taken with the membership that names the budget.
    const read = [...limits, ...dated, "budget_id", "budget_reset_at", "model_max_budget", "allowed_models"];
    return [
      {
        name: budgetId,
        row: { budgetId, doc: writeDoc(LimitsSchema, settings), ...authorshipOf(row, now) },
        left: [...left, ...unread(row, read, unbuilt)],
      },
    ];
  },
};

export const customers: Step<CustomerRow, Budgets> = {
  label: "customers",
  table: "LiteLLM_EndUserTable",
  key: ["user_id"],
  kind: customerKind,
  prepare: budgetsOf,
  read(row, known, now) {
    const columns = ["alias", "blocked", "budget_id"];
    const { settings, left } = readSettings(CustomerSettingsSchema, pick(row, columns));
    const customerId = String(row.user_id);
    return [
      {
        name: customerId,
        row: { customerId, doc: writeDoc(CustomerSettingsSchema, settings), ...authorshipOf(row, now) },
        left: [...left, ...unread(row, [...columns, "user_id", "spend"], unbuilt)],
        spend: { spend: row.spend, window: windowOf(row, known) },
      },
    ];
  },
};

export const tags: Step<TagRow, Budgets> = {
  label: "tags",
  table: "LiteLLM_TagTable",
  key: ["tag_name"],
  kind: tagKind,
  prepare: budgetsOf,
  read(row, known, now) {
    const input = { ...pick(row, ["description", "budget_id"]), models: modelNames(row) };
    const { settings, left } = readSettings(TagSettingsSchema, input);
    const tagName = String(row.tag_name);
    const read = [...dated, "tag_name", "description", "budget_id", "models", "model_info", "spend"];
    return [
      {
        name: tagName,
        row: { tagName, doc: writeDoc(TagSettingsSchema, settings), ...authorshipOf(row, now) },
        left: [...left, ...unread(row, read, unbuilt)],
        spend: { spend: row.spend, window: windowOf(row, known) },
      },
    ];
  },
};

/** A tag names deployments by id there, and models by name here. */
function modelNames(row: JsonObject): string[] {
  const names = objectOf(row.model_info);
  return [...new Set(listOf(row.models).map((id) => textOf(names[String(id)]) ?? String(id)))];
}

export const accessGroups: Step<AccessGroupRow, undefined> = {
  label: "access groups",
  table: "LiteLLM_AccessGroupTable",
  key: ["access_group_id"],
  kind: accessGroupKind,
  prepare: async () => undefined,
  read(row, _, now) {
    const columns = ["access_group_name", "description", "access_model_names"];
    const { settings, left } = readSettings(AccessGroupSettingsSchema, pick(row, columns));
    const [accessGroupId, name] = [String(row.access_group_id), settings.accessGroupName ?? ""];
    const doc = writeDoc(AccessGroupSettingsSchema, settings);
    // Whom a group is assigned to, teams and keys say themselves.
    const read = [...columns, ...dated, "access_group_id", "assigned_team_ids", "assigned_key_ids"];
    return [
      {
        name: name || accessGroupId,
        row:
          name === ""
            ? { leftBecause: "it has no name that can be used here" }
            : { accessGroupId, accessGroupName: name, doc, ...authorshipOf(row, now) },
        left: [...left, ...unread(row, read, unbuilt)],
      },
    ];
  },
};
