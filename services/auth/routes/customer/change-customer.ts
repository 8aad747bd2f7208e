import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { LockMode } from "@mikro-orm/core";
import { requireCaller } from "#chassis/access.ts";
import { gatewayError } from "#chassis/errors.ts";
import { CustomerSettingsSchema } from "#gen/sluice/auth/v1/customer_pb.ts";
import type { CustomerService } from "#gen/sluice/auth/v1/customer_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";
import { requireBudget } from "../../budgets.ts";
import { type Changed, change, createdBy, touch } from "../../change.ts";
import type { RouteContext } from "../../context.ts";
import { customerKind, customerViews } from "../../customers.ts";
import { Customer, type CustomerRow } from "../../db/entities.ts";
import { insertThing, lockThing, lockThings, requireId, updateThing } from "../../kind.ts";
import { scopeOf } from "../../scope.ts";
import { pathsUnder, readDoc, writeDoc } from "../../stored-doc.ts";

export function createCustomer(context: RouteContext): ServiceImpl<typeof CustomerService>["createCustomer"] {
  return async (request, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const settings = request.settings ?? create(CustomerSettingsSchema);
    const row: CustomerRow = {
      customerId: requireId(customerKind, request.userId),
      doc: {},
      ...createdBy(caller, new Date(context.clock())),
    };
    await change(context, caller, async (em) => {
      await requireBudget(em, settings.limits);
      row.doc = writeDoc(CustomerSettingsSchema, settings);
      await insertThing(em, customerKind, row);
      return { result: undefined, changed: [{ scope: scopeOf.customer(row.customerId), action: "created" }] };
    });
    return { customer: await viewOf(context, row) };
  };
}

export function updateCustomer(context: RouteContext): ServiceImpl<typeof CustomerService>["updateCustomer"] {
  return async (request, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const { settings, version } = request;
    const row = await change(context, caller, async (em) => {
      const locked = await lockThing(em, customerKind, requireId(customerKind, request.userId));
      const paths = pathsUnder("settings", request.updateMask?.paths);
      await requireBudget(em, settings?.limits);
      updateThing(customerKind, locked, caller, new Date(context.clock()), { settings, paths, version });
      return { result: locked, changed: [{ scope: scopeOf.customer(locked.customerId), action: "updated" }] };
    });
    return { customer: await viewOf(context, row) };
  };
}

export function deleteCustomers(context: RouteContext): ServiceImpl<typeof CustomerService>["deleteCustomers"] {
  return async (request, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const ids = namedIds(request.userIds);
    const deletedCustomers = await change(context, caller, async (em) => {
      const kind = { ...customerKind, param: "user_ids" };
      await lockThings(em, kind, ids, ({ customerId }) => customerId);
      await em.nativeDelete(Customer, customerKind.where(ids));
      const changed = ids.map((id): Changed => ({ scope: scopeOf.customer(id), action: "deleted" }));
      return { result: ids.length, changed };
    });
    return { deletedCustomers, message: `Successfully deleted customers with ids: ${ids.join(", ")}` };
  };
}

export function blockCustomers(context: RouteContext): ServiceImpl<typeof CustomerService>["blockCustomers"] {
  return async (request, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const rows = await setBlocked(context, caller, namedIds(request.userIds), true);
    return { blockedUsers: await customerViews(context, context.database.em(), rows) };
  };
}

export function unblockCustomers(context: RouteContext): ServiceImpl<typeof CustomerService>["unblockCustomers"] {
  return async (request, { requestHeader }) => {
    await setBlocked(context, requireCaller(requestHeader), namedIds(request.userIds), false);
    return { blockedUsers: [] };
  };
}

/** Outside of the change: what was spent, accounting is asked, and it may wait for the same database. */
async function viewOf(context: RouteContext, row: CustomerRow) {
  const [customer] = await customerViews(context, context.database.em(), [row]);
  return customer;
}

/** Blocks customers, those that are not there yet too, or unblocks those that are. */
async function setBlocked(context: RouteContext, caller: AdminCaller, ids: readonly string[], blocked: boolean) {
  const now = new Date(context.clock());
  return change(context, caller, async (em) => {
    if (blocked) {
      const doc = writeDoc(CustomerSettingsSchema, create(CustomerSettingsSchema));
      const rows = ids.map((customerId) => ({ customerId, doc, ...createdBy(caller, now) }));
      await em.upsertMany(Customer, rows, { onConflictAction: "ignore" });
    }
    const rows = await em.find(Customer, customerKind.where(ids), { lockMode: LockMode.PESSIMISTIC_WRITE });
    for (const row of rows) {
      const settings = readDoc(CustomerSettingsSchema, row.doc);
      row.doc = writeDoc(CustomerSettingsSchema, { ...settings, blocked });
      touch(row, caller, now);
    }
    const changed = rows.map(
      ({ customerId }): Changed => ({ scope: scopeOf.customer(customerId), action: blocked ? "blocked" : "unblocked" }),
    );
    return { result: rows, changed };
  });
}

function namedIds(userIds: readonly string[]): string[] {
  const ids = [...new Set(userIds)];
  if (ids.length > 0 && !ids.includes("")) return ids;
  throw gatewayError(Reason.INVALID_REQUEST, "Name the customers by user_ids.", { param: "user_ids" });
}
