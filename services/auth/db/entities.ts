import { defineEntity, type InferEntity, p } from "@mikro-orm/core";

/**
 * What every stored thing has beside its columns. `doc` is its settings in protobuf's JSON mapping: a setting needs a
 * column only where rows are searched by it or must be unique in it (docs/decisions/2026-11-21-settings-as-documents.md).
 */
const stored = {
  doc: p.json<object>(),
  createdAt: p.datetime(),
  /** A user's id, or the hash of a key. */
  createdBy: p.text(),
  updatedAt: p.datetime(),
  updatedBy: p.text(),
  /** Counts changes, from 1. */
  version: p.integer(),
};

/** One virtual key. The key itself is not stored. */
export const VirtualKey = defineEntity({
  name: "VirtualKey",
  tableName: "virtual_key",
  properties: {
    /** SHA-256 of the key, lowercase hex. */
    keyId: p.text().primary(),
    /** `sk-...` and the key's last four characters. */
    keyName: p.text(),
    keyAlias: p.text().nullable(),
    userId: p.text().nullable(),
    teamId: p.text().nullable(),
    organizationId: p.text().nullable(),
    projectId: p.text().nullable(),
    expiresAt: p.datetime().nullable(),
    rotationCount: p.integer(),
    rotatedAt: p.datetime().nullable(),
    /** When it is due to be replaced; null where it does not rotate. */
    rotateAt: p.datetime().nullable(),
    ...stored,
  },
});
export type VirtualKeyRow = InferEntity<typeof VirtualKey>;

/** The hash of a key that was replaced and works on until its grace period ends. */
export const RetiredKey = defineEntity({
  name: "RetiredKey",
  tableName: "retired_key",
  properties: {
    retiredKeyId: p.text().primary(),
    /** The key that it stands for now. */
    keyId: p.text(),
    expiresAt: p.datetime(),
  },
});

/** A new key that a scheduled rotation has made, until somebody collects it. */
export const WaitingKey = defineEntity({
  name: "WaitingKey",
  tableName: "waiting_key",
  properties: {
    keyId: p.text().primary(),
    /** The key itself, sealed, in Base64. */
    sealed: p.text(),
  },
});

/** The key that secrets are sealed under, itself sealed under a salt or master key: one row for each of these. */
export const KeyWrapping = defineEntity({
  name: "KeyWrapping",
  tableName: "keyring",
  properties: {
    /** The id of the key that it is sealed under; empty where that was not noted. */
    wrappingId: p.text().primary(),
    /** `salt`, `master`, or `unknown` where that was not noted. */
    kind: p.text(),
    /** Emptied once it has expired. */
    wrapped: p.uint8array(),
    createdAt: p.datetime(),
    expiresAt: p.datetime().nullable(),
  },
});
export type KeyWrappingRow = InferEntity<typeof KeyWrapping>;

/** One master key took the place of another. Rows stay: a master key is never taken again. */
export const MasterKeyRotation = defineEntity({
  name: "MasterKeyRotation",
  tableName: "master_key_rotation",
  properties: {
    /** SHA-256, lowercase hex. */
    oldHash: p.text().primary(),
    newHash: p.text(),
    rotatedAt: p.datetime(),
    /** A user's id, or the hash of a key. */
    rotatedBy: p.text(),
    /** When the old key stops working, also where it is still configured. */
    oldUntil: p.datetime(),
  },
});
export type MasterKeyRotationRow = InferEntity<typeof MasterKeyRotation>;

/** A key that was deleted, as it was then. */
export const DeletedKey = defineEntity({
  name: "DeletedKey",
  tableName: "deleted_key",
  properties: {
    id: p.bigint().primary().autoincrement(),
    keyId: p.text(),
    /** The row, in JSON. */
    row: p.json<object>(),
    deletedAt: p.datetime(),
    deletedBy: p.text(),
  },
});

/** An internal user. */
export const User = defineEntity({
  name: "User",
  tableName: "internal_user",
  properties: {
    userId: p.text().primary(),
    /** As it was written; unique without regard to case. */
    userEmail: p.text().nullable(),
    userAlias: p.text().nullable(),
    /** LiteLLM's name of the role. */
    userRole: p.text(),
    ssoUserId: p.text().nullable(),
    ...stored,
  },
});
export type UserRow = InferEntity<typeof User>;

export const Team = defineEntity({
  name: "Team",
  tableName: "team",
  properties: {
    teamId: p.text().primary(),
    teamAlias: p.text().nullable(),
    organizationId: p.text().nullable(),
    ...stored,
  },
});
export type TeamRow = InferEntity<typeof Team>;

/** A team that was deleted, as it was then. */
export const DeletedTeam = defineEntity({
  name: "DeletedTeam",
  tableName: "deleted_team",
  properties: {
    id: p.bigint().primary().autoincrement(),
    teamId: p.text(),
    teamAlias: p.text().nullable(),
    organizationId: p.text().nullable(),
    adminIds: p.array(),
    memberIds: p.array(),
    ...stored,
    deletedAt: p.datetime(),
    deletedBy: p.text(),
  },
});
export type DeletedTeamRow = InferEntity<typeof DeletedTeam>;

/** A scope that ended with what it belonged to: accounting is to forget it. */
export const EndedScope = defineEntity({
  name: "EndedScope",
  tableName: "ended_scope",
  properties: { scope: p.text().primary(), endedAt: p.datetime() },
});

/** A user's place in a team. Its document holds what the member may consume there. */
export const TeamMember = defineEntity({
  name: "TeamMember",
  tableName: "team_member",
  properties: {
    teamId: p.text().primary(),
    userId: p.text().primary(),
    /** `admin` or `user`. */
    role: p.text(),
    ...stored,
  },
});
export type TeamMemberRow = InferEntity<typeof TeamMember>;

export const Organization = defineEntity({
  name: "Organization",
  tableName: "organization",
  properties: {
    organizationId: p.text().primary(),
    organizationAlias: p.text(),
    ...stored,
  },
});
export type OrganizationRow = InferEntity<typeof Organization>;

/** A user's place in an organization. */
export const OrganizationMember = defineEntity({
  name: "OrganizationMember",
  tableName: "organization_member",
  properties: {
    organizationId: p.text().primary(),
    userId: p.text().primary(),
    /** LiteLLM's name of the role: `org_admin`, `internal_user` and so on. */
    role: p.text(),
    ...stored,
  },
});
export type OrganizationMemberRow = InferEntity<typeof OrganizationMember>;

export const Project = defineEntity({
  name: "Project",
  tableName: "project",
  properties: {
    projectId: p.text().primary(),
    projectAlias: p.text().nullable(),
    teamId: p.text().nullable(),
    ...stored,
  },
});
export type ProjectRow = InferEntity<typeof Project>;

/** Limits with a name, which others refer to. */
export const Budget = defineEntity({
  name: "Budget",
  tableName: "budget",
  properties: { budgetId: p.text().primary(), ...stored },
});
export type BudgetRow = InferEntity<typeof Budget>;

/** An end user: somebody on whose behalf calls are made, named by them. */
export const Customer = defineEntity({
  name: "Customer",
  tableName: "customer",
  properties: { customerId: p.text().primary(), ...stored },
});
export type CustomerRow = InferEntity<typeof Customer>;

export const Tag = defineEntity({
  name: "Tag",
  tableName: "tag",
  properties: { tagName: p.text().primary(), ...stored },
});
export type TagRow = InferEntity<typeof Tag>;

/** Models under one name, for the model lists of keys, teams and users. */
export const AccessGroup = defineEntity({
  name: "AccessGroup",
  tableName: "access_group",
  properties: { accessGroupId: p.text().primary(), accessGroupName: p.text(), ...stored },
});
export type AccessGroupRow = InferEntity<typeof AccessGroup>;

/** A browser's session after a login. The token itself is not stored. */
export const LoginSession = defineEntity({
  name: "LoginSession",
  tableName: "login_session",
  properties: {
    /** `hashSessionToken` of the token. */
    sessionHash: p.text().primary(),
    userId: p.text(),
    createdAt: p.datetime(),
    expiresAt: p.datetime(),
    /** The network address that the login came from. */
    address: p.text(),
  },
});

/** A broadcast that waits to be sent: written in the transaction of the change that it announces. */
export const Outbox = defineEntity({
  name: "Outbox",
  tableName: "outbox",
  properties: {
    id: p.bigint().primary().autoincrement(),
    /** Hashes of the keys that changed. */
    keyIds: p.array(),
    /** Scopes that changed. */
    scopes: p.array(),
  },
});
