import { type Implementation, implement } from "#chassis/service.ts";
import { CustomerService } from "#gen/sluice/auth/v1/customer_service_pb.ts";
import type { RouteContext } from "../../context.ts";
import {
  blockCustomers,
  createCustomer,
  deleteCustomers,
  unblockCustomers,
  updateCustomer,
} from "./change-customer.ts";
import { getCustomer, listCustomers } from "./read-customers.ts";

export function customerRoutes(context: RouteContext): Implementation {
  return implement(CustomerService, {
    createCustomer: createCustomer(context),
    updateCustomer: updateCustomer(context),
    getCustomer: getCustomer(context),
    listCustomers: listCustomers(context),
    deleteCustomers: deleteCustomers(context),
    blockCustomers: blockCustomers(context),
    unblockCustomers: unblockCustomers(context),
  });
}
