import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { LockMode } from "@mikro-orm/core";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { requireCaller } from "#chassis/access.ts";
import { gatewayError } from "#chassis/errors.ts";
import { LimitsSchema } from "#gen/sluice/auth/v1/limits_pb.ts";
import { OrganizationMemberSettingsSchema } from "#gen/sluice/auth/v1/organization_pb.ts";
import type { OrganizationService } from "#gen/sluice/auth/v1/organization_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";
import { type Changed, change, createdBy, touch } from "../../change.ts";
import type { RouteContext } from "../../context.ts";
import { OrganizationMember, type OrganizationMemberRow } from "../../db/entities.ts";
import { lockThing, requireId } from "../../kind.ts";
import { type NamedUser, resolveUsers, userIdOf } from "../../member-users.ts";
import {
  mayManageOrganization,
  organizationKind,
  organizationMembershipViews,
  readOrganizationRole,
  requireOrganizationRight,
} from "../../organizations.ts";
import { scopeOf } from "../../scope.ts";
import { readDoc, writeDoc } from "../../stored-doc.ts";
import { userViews } from "../../user-view.ts";

export function addOrganizationMembers(
  context: RouteContext,
): ServiceImpl<typeof OrganizationService>["addOrganizationMembers"] {
  return async ({ organizationId, member, maxBudgetInOrganization: maxBudget }, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    if (member.length === 0) throw gatewayError(Reason.INVALID_REQUEST, "Name the member.", { param: "member" });
    const roles = member.map(({ role }) => readOrganizationRole(role));
    const limits = maxBudget === undefined ? undefined : create(LimitsSchema, { maxBudget });
    const doc = writeDoc(OrganizationMemberSettingsSchema, create(OrganizationMemberSettingsSchema, { limits }));
    const now = new Date(context.clock());
    const joined = await change(context, caller, async (em) => {
      await lockOrganization(em, caller, organizationId);
      const { users, created } = await resolveUsers(em, caller, now, member);
      const userIds = users.map(({ userId }) => userId);
      await requireOutside(em, organizationId, userIds);
      const rows = users.map(
        ({ userId }, at): OrganizationMemberRow => ({
          organizationId,
          userId,
          role: roles[at] ?? "internal_user",
          doc,
          ...createdBy(caller, now),
        }),
      );
      await em.insertMany(OrganizationMember, rows);
      const made = [...created].map((userId): Changed => ({ scope: scopeOf.user(userId), action: "created" }));
      return { result: { users, rows }, changed: [...made, ...rows.flatMap((row) => changesOf(row, "created"))] };
    });
    const em = context.database.em();
    return {
      organizationId,
      updatedUsers: await userViews(context, em, joined.users),
      updatedOrganizationMemberships: await organizationMembershipViews(context, em, joined.rows),
    };
  };
}

export function updateOrganizationMember(
  context: RouteContext,
): ServiceImpl<typeof OrganizationService>["updateOrganizationMember"] {
  return async (request, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const { organizationId, maxBudgetInOrganization: maxBudget, role } = request;
    const changed = await change(context, caller, async (em) => {
      await lockOrganization(em, caller, organizationId);
      const row = await lockMember(em, organizationId, request);
      if (role !== undefined) row.role = readOrganizationRole(role);
      if (maxBudget !== undefined) {
        const settings = readDoc(OrganizationMemberSettingsSchema, row.doc);
        settings.limits ??= create(LimitsSchema);
        settings.limits.maxBudget = maxBudget;
        row.doc = writeDoc(OrganizationMemberSettingsSchema, settings);
      }
      touch(row, caller, new Date(context.clock()));
      return { result: row, changed: changesOf(row, "updated") };
    });
    return oneMembership(context, changed);
  };
}

export function deleteOrganizationMember(
  context: RouteContext,
): ServiceImpl<typeof OrganizationService>["deleteOrganizationMember"] {
  return async (request, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const { organizationId } = request;
    const deleted = await change(context, caller, async (em) => {
      await lockOrganization(em, caller, organizationId);
      const row = await lockMember(em, organizationId, request);
      await em.nativeDelete(OrganizationMember, { organizationId, userId: row.userId });
      return { result: row, changed: changesOf(row, "deleted") };
    });
    return oneMembership(context, deleted);
  };
}

async function oneMembership(context: RouteContext, row: OrganizationMemberRow) {
  const [membership] = await organizationMembershipViews(context, context.database.em(), [row]);
  return { membership };
}

/** Locks an organization, so that its members change one after the other. */
async function lockOrganization(em: SqlEntityManager, caller: AdminCaller, organizationId: string): Promise<void> {
  requireId(organizationKind, organizationId);
  requireOrganizationRight(mayManageOrganization(caller, organizationId));
  await lockThing(em, organizationKind, organizationId);
}

async function lockMember(
  em: SqlEntityManager,
  organizationId: string,
  named: NamedUser,
): Promise<OrganizationMemberRow> {
  const userId = await userIdOf(em, named);
  const options = { lockMode: LockMode.PESSIMISTIC_WRITE } as const;
  const row = userId === undefined ? null : await em.findOne(OrganizationMember, { organizationId, userId }, options);
  if (row !== null) return row;
  const shown = named.userId || named.userEmail;
  const param = named.userId ? "user_id" : "user_email";
  throw gatewayError(Reason.NOT_FOUND, `User=${shown} is not in organization=${organizationId}.`, { param });
}

/** @throws CONFLICT where somebody is in the organization already, or is named twice. */
async function requireOutside(em: SqlEntityManager, organizationId: string, userIds: readonly string[]): Promise<void> {
  const present = (await em.find(OrganizationMember, { organizationId, userId: { $in: [...userIds] } })).map(
    ({ userId }) => userId,
  );
  const inside = present[0] ?? userIds.find((userId, at) => userIds.indexOf(userId) !== at);
  if (inside === undefined) return;
  throw gatewayError(Reason.CONFLICT, `User=${inside} is in the organization already.`, { param: "member" });
}

/** A membership decides about the user's roles, and about the keys that it has in the organization. */
function changesOf({ organizationId, userId }: OrganizationMemberRow, action: Changed["action"]): Changed[] {
  return [
    { scope: scopeOf.organizationMember(organizationId, userId), action },
    { scope: scopeOf.user(userId), action: "updated" },
  ];
}
