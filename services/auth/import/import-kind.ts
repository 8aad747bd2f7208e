import type { EntityName, FilterQuery } from "@mikro-orm/core";
import {
  AccessGroup,
  type AccessGroupRow,
  Budget,
  type BudgetRow,
  Customer,
  type CustomerRow,
  Organization,
  OrganizationMember,
  type OrganizationMemberRow,
  type OrganizationRow,
  Project,
  type ProjectRow,
  Tag,
  type TagRow,
  Team,
  TeamMember,
  type TeamMemberRow,
  type TeamRow,
  User,
  type UserRow,
  VirtualKey,
  type VirtualKeyRow,
} from "../db/entities.ts";
import { scopeOf } from "../scope.ts";

/** A kind of rows that can come from another gateway. */
export interface ImportKind<Row extends object> {
  readonly name: string;
  readonly entity: EntityName<Row>;
  /** The scope that a row is; it is also its id among the rows of its kind. */
  scopeOf(row: Row): string;
  /** Who else is to be told where a row comes or changes. */
  alsoChanged?(row: Row): string;
  /** The rows that are here under the ids of these. */
  where(rows: readonly Row[]): FilterQuery<Row>;
  /** A value that no two rows share; one that somebody else has is taken from the row, or the row is left. */
  readonly unique?: readonly UniqueValue<Row>[];
}

export interface UniqueValue<Row> {
  /** The field, as LiteLLM calls it. */
  readonly field: string;
  /** SQL of the value, in the kind's table. */
  readonly sql: string;
  valueOf(row: Row): string | null;
  /** The row without the value; undefined where it cannot be without. */
  without(row: Row): Row | undefined;
}

export const keyKind: ImportKind<VirtualKeyRow> = {
  name: "key",
  entity: VirtualKey,
  scopeOf: ({ keyId }) => scopeOf.key(keyId),
  where: (rows) => ({ keyId: { $in: rows.map(({ keyId }) => keyId) } }),
  unique: [
    {
      field: "key_alias",
      sql: "key_alias",
      valueOf: ({ keyAlias }) => keyAlias ?? null,
      without: (row) => ({ ...row, keyAlias: null, doc: omit(row.doc, "keyAlias") }),
    },
  ],
};

export const userKind: ImportKind<UserRow> = {
  name: "user",
  entity: User,
  scopeOf: ({ userId }) => scopeOf.user(userId),
  where: (rows) => ({ userId: { $in: rows.map(({ userId }) => userId) } }),
  unique: [
    {
      field: "user_email",
      sql: "lower(user_email)",
      valueOf: ({ userEmail }) => userEmail?.toLowerCase() ?? null,
      without: (row) => ({ ...row, userEmail: null, doc: omit(row.doc, "userEmail") }),
    },
    {
      field: "sso_user_id",
      sql: "sso_user_id",
      valueOf: ({ ssoUserId }) => ssoUserId ?? null,
      without: (row) => ({ ...row, ssoUserId: null, doc: omit(row.doc, "ssoUserId") }),
    },
  ],
};

export const accessGroupKind: ImportKind<AccessGroupRow> = {
  name: "access_group",
  entity: AccessGroup,
  scopeOf: ({ accessGroupId }) => scopeOf.accessGroup(accessGroupId),
  where: (rows) => ({ accessGroupId: { $in: rows.map(({ accessGroupId }) => accessGroupId) } }),
  unique: [
    {
      field: "access_group_name",
      sql: "access_group_name",
      valueOf: ({ accessGroupName }) => accessGroupName,
      without: () => undefined,
    },
  ],
};

export const teamKind: ImportKind<TeamRow> = {
  name: "team",
  entity: Team,
  scopeOf: ({ teamId }) => scopeOf.team(teamId),
  where: (rows) => ({ teamId: { $in: rows.map(({ teamId }) => teamId) } }),
};

export const teamMemberKind: ImportKind<TeamMemberRow> = {
  name: "team_member",
  entity: TeamMember,
  scopeOf: ({ teamId, userId }) => scopeOf.member(teamId, userId),
  alsoChanged: ({ userId }) => scopeOf.user(userId),
  where: (rows) => ({ $or: rows.map(({ teamId, userId }) => ({ teamId, userId })) }),
};

export const organizationKind: ImportKind<OrganizationRow> = {
  name: "organization",
  entity: Organization,
  scopeOf: ({ organizationId }) => scopeOf.organization(organizationId),
  where: (rows) => ({ organizationId: { $in: rows.map(({ organizationId }) => organizationId) } }),
};

export const organizationMemberKind: ImportKind<OrganizationMemberRow> = {
  name: "organization_member",
  entity: OrganizationMember,
  scopeOf: ({ organizationId, userId }) => scopeOf.organizationMember(organizationId, userId),
  alsoChanged: ({ userId }) => scopeOf.user(userId),
  where: (rows) => ({ $or: rows.map(({ organizationId, userId }) => ({ organizationId, userId })) }),
};

export const projectKind: ImportKind<ProjectRow> = {
  name: "project",
  entity: Project,
  scopeOf: ({ projectId }) => scopeOf.project(projectId),
  where: (rows) => ({ projectId: { $in: rows.map(({ projectId }) => projectId) } }),
};

export const budgetKind: ImportKind<BudgetRow> = {
  name: "budget",
  entity: Budget,
  scopeOf: ({ budgetId }) => scopeOf.budget(budgetId),
  where: (rows) => ({ budgetId: { $in: rows.map(({ budgetId }) => budgetId) } }),
};

export const customerKind: ImportKind<CustomerRow> = {
  name: "customer",
  entity: Customer,
  scopeOf: ({ customerId }) => scopeOf.customer(customerId),
  where: (rows) => ({ customerId: { $in: rows.map(({ customerId }) => customerId) } }),
};

export const tagKind: ImportKind<TagRow> = {
  name: "tag",
  entity: Tag,
  scopeOf: ({ tagName }) => scopeOf.tag(tagName),
  where: (rows) => ({ tagName: { $in: rows.map(({ tagName }) => tagName) } }),
};

function omit(doc: object, name: string): object {
  return Object.fromEntries(Object.entries(doc).filter(([each]) => each !== name));
}
