import type { Client, ServiceImpl } from "@connectrpc/connect";
import type { RequestService } from "#gen/sluice/inference/v1/request_service_pb.ts";
import { withTarget } from "../routing/choose-target.ts";
import type { RouterCore } from "../routing/model-call.ts";

/** Asks the adapter for the request of the deployment that the call would be sent to first. */
export function createPreview(
  core: RouterCore,
  adapter: Client<typeof RequestService>,
): ServiceImpl<typeof RequestService>["preview"] {
  return ({ call }, { signal }) => adapter.preview({ call: withTarget(core, call) }, { signal });
}
