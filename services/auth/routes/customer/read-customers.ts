import type { ServiceImpl } from "@connectrpc/connect";
import { databaseError } from "#chassis/database/database.ts";
import type { CustomerService } from "#gen/sluice/auth/v1/customer_service_pb.ts";
import type { RouteContext } from "../../context.ts";
import { customerKind, customerViews } from "../../customers.ts";
import { Customer } from "../../db/entities.ts";
import { notFound, requireId } from "../../kind.ts";
import { readPage } from "../../page.ts";

export function getCustomer(context: RouteContext): ServiceImpl<typeof CustomerService>["getCustomer"] {
  const kind = { ...customerKind, param: "end_user_id" };
  return async ({ endUserId }) => {
    try {
      const em = context.database.em();
      const row = await em.findOne(Customer, { customerId: requireId(kind, endUserId) });
      if (row === null) throw notFound(kind, [endUserId]);
      const [customer] = await customerViews(context, em, [row]);
      return { customer };
    } catch (error) {
      throw databaseError(error);
    }
  };
}

export function listCustomers(context: RouteContext): ServiceImpl<typeof CustomerService>["listCustomers"] {
  return async (request) => {
    const { limit, offset } = readPage(request.page, request.pageSize, 1000, 1000);
    try {
      const em = context.database.em();
      const orderBy = { createdAt: "desc", customerId: "asc" } as const;
      const rows = await em.find(Customer, {}, { limit, offset, orderBy });
      return { customers: await customerViews(context, em, rows) };
    } catch (error) {
      throw databaseError(error);
    }
  };
}
