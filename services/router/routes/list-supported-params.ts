import type { Client, ServiceImpl } from "@connectrpc/connect";
import type { RequestService } from "#gen/sluice/inference/v1/request_service_pb.ts";
import { withTarget } from "../routing/choose-target.ts";
import type { RouterCore } from "../routing/model-call.ts";

/** Asks the adapter what the model's provider takes. */
export function createListSupportedParams(
  core: RouterCore,
  adapter: Client<typeof RequestService>,
): ServiceImpl<typeof RequestService>["listSupportedParams"] {
  return ({ call }, { signal }) => adapter.listSupportedParams({ call: withTarget(core, call) }, { signal });
}
