import { OrganizationMemberSettingsSchema, OrganizationSettingsSchema } from "#gen/sluice/auth/v1/organization_pb.ts";
import { ProjectSettingsSchema } from "#gen/sluice/auth/v1/project_pb.ts";
import { UserSettingsSchema } from "#gen/sluice/auth/v1/user_pb.ts";
import type { OrganizationMemberRow, OrganizationRow, ProjectRow, UserRow } from "../../../auth/db/entities.ts";
import { organizationKind, organizationMemberKind, projectKind, userKind } from "../../../auth/import/import-kind.ts";
import { userRoleNames } from "../../../auth/roles.ts";
import { writeDoc } from "../../../auth/stored-doc.ts";
import { readUserSettings, userColumns } from "../../../auth/user-input.ts";
import { authorshipOf, type Left, objectOf, pick, textOf, unread } from "./fields.ts";
import { splitMetadata } from "./keys.ts";
import { modelBudgets, readSettings } from "./settings.ts";
import { type Budgets, budgetsOf, type Step, windowOf } from "./step.ts";

const unbuilt = "has no effect here yet";
const dated = ["created_at", "created_by", "updated_at", "updated_by"];
const modelLimits = ["model_rpm_limit", "model_tpm_limit"];

/** In whose name LiteLLM counts what the whole proxy spends. */
const proxyUser = "litellm-proxy-budget";
const leastRole = "internal_user_viewer";

export const users: Step<UserRow, Budgets> = {
  label: "users",
  table: "LiteLLM_UserTable",
  key: ["user_id"],
  kind: userKind,
  prepare: budgetsOf,
  read(row, known, now) {
    const userId = String(row.user_id);
    if (userId === proxyUser) {
      return [{ name: userId, row: { leftBecause: "a budget of the whole gateway is not built" }, left: [] }];
    }
    const columns = [
      ...["user_email", "user_alias", "sso_user_id", "models", "max_budget", "budget_duration", "tpm_limit"],
      ...["rpm_limit", "max_parallel_requests"],
    ];
    const { metadata, left: leftMetadata } = splitMetadata(row, modelLimits);
    const { role, leftRole } = roleOf(textOf(row.user_role));
    const input = {
      ...pick(row, columns),
      ...pick(objectOf(row.metadata), modelLimits),
      user_role: role,
      model_max_budget: modelBudgets(row.model_max_budget),
      // Whom the identity provider has deactivated may nothing there either.
      ...(objectOf(row.metadata).scim_active === false ? { blocked: true } : {}),
      metadata,
    };
    const { settings, left } = readSettings(UserSettingsSchema, input, readUserSettings);
    const read = [
      ...columns,
      ...dated,
      ...["user_id", "user_role", "metadata", "model_max_budget", "spend", "budget_reset_at", "teams", "model_spend"],
      ...["last_breach_check_at", "password", "password_reset_required"],
    ];
    const password: Left[] =
      textOf(row.password) === undefined
        ? []
        : [{ field: "password", reason: "is not taken: logins are by SSO or key" }];
    return [
      {
        name: settings.userEmail ?? userId,
        row: { userId, ...userColumns(settings), ...authorshipOf(row, now) },
        left: [...left, ...leftRole, ...leftMetadata, ...password, ...unread(row, read, unbuilt)],
        spend: { spend: row.spend, window: windowOf(row, known) },
      },
    ];
  },
};

function roleOf(role: string | undefined): { readonly role: string; readonly leftRole: readonly Left[] } {
  if (role === undefined) return { role: leastRole, leftRole: [] };
  if (userRoleNames.includes(role)) return { role, leftRole: [] };
  return { role: leastRole, leftRole: [{ field: "user_role", reason: `is no role here: taken as ${leastRole}` }] };
}

export const organizations: Step<OrganizationRow, Budgets> = {
  label: "organizations",
  table: "LiteLLM_OrganizationTable",
  key: ["organization_id"],
  kind: organizationKind,
  prepare: budgetsOf,
  read(row, known, now) {
    const columns = ["organization_alias", "models", "budget_id"];
    const { metadata, left: leftMetadata } = splitMetadata(row, modelLimits);
    const input = {
      ...pick(row, columns),
      ...pick(objectOf(row.metadata), modelLimits),
      metadata,
    };
    const { settings, left } = readSettings(OrganizationSettingsSchema, input);
    const organizationId = String(row.organization_id);
    const organizationAlias = settings.organizationAlias ?? organizationId;
    const doc = writeDoc(OrganizationSettingsSchema, settings);
    const read = [...columns, ...dated, "organization_id", "metadata", "spend", "model_spend"];
    return [
      {
        name: organizationAlias,
        row: { organizationId, organizationAlias, doc, ...authorshipOf(row, now) },
        left: [...left, ...leftMetadata, ...unread(row, read, unbuilt)],
        spend: { spend: row.spend, window: windowOf(row, known) },
      },
    ];
  },
};

export const organizationMembers: Step<OrganizationMemberRow, Budgets> = {
  label: "organization members",
  table: "LiteLLM_OrganizationMembership",
  key: ["user_id", "organization_id"],
  kind: organizationMemberKind,
  prepare: budgetsOf,
  read(row, known, now) {
    const { settings, left } = readSettings(OrganizationMemberSettingsSchema, pick(row, ["budget_id"]));
    const [organizationId, userId] = [String(row.organization_id), String(row.user_id)];
    const role = textOf(row.user_role) ?? "internal_user";
    const doc = writeDoc(OrganizationMemberSettingsSchema, settings);
    const read = [...dated, "user_id", "organization_id", "user_role", "budget_id", "spend"];
    return [
      {
        name: `${userId} in ${organizationId}`,
        row: { organizationId, userId, role, doc, ...authorshipOf(row, now) },
        left: [...left, ...unread(row, read, unbuilt)],
        spend: { spend: row.spend, window: windowOf(row, known) },
      },
    ];
  },
};

export const projects: Step<ProjectRow, Budgets> = {
  label: "projects",
  table: "LiteLLM_ProjectTable",
  key: ["project_id"],
  kind: projectKind,
  prepare: budgetsOf,
  read(row, known, now) {
    const columns = ["project_alias", "description", "team_id", "models", "blocked", "budget_id", ...modelLimits];
    const { metadata, left: leftMetadata } = splitMetadata(row, ["tags"]);
    const input = {
      ...pick(row, columns),
      ...pick(objectOf(row.metadata), ["tags"]),
      metadata,
    };
    const { settings, left } = readSettings(ProjectSettingsSchema, input);
    const [projectId, projectAlias] = [String(row.project_id), settings.projectAlias ?? null];
    const doc = writeDoc(ProjectSettingsSchema, settings);
    const read = [...columns, ...dated, "project_id", "metadata", "spend", "model_spend"];
    return [
      {
        name: projectAlias ?? projectId,
        row: { projectId, projectAlias, teamId: settings.teamId ?? null, doc, ...authorshipOf(row, now) },
        left: [...left, ...leftMetadata, ...unread(row, read, unbuilt)],
        spend: { spend: row.spend, window: windowOf(row, known) },
      },
    ];
  },
};
