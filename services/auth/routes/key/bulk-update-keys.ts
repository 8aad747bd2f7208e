import { create } from "@bufbuild/protobuf";
import { ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { requireCaller } from "#chassis/access.ts";
import { gatewayError } from "#chassis/errors.ts";
import {
  BulkUpdateKeysResponseSchema,
  type KeyService,
  KeyUpdateFailureSchema,
  KeyUpdateSuccessSchema,
} from "#gen/sluice/auth/v1/key_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { RouteContext } from "../../context.ts";
import { updateKeyFor } from "../../key-changing.ts";

const mostKeys = 500;

export function bulkUpdateKeys(context: RouteContext): ServiceImpl<typeof KeyService>["bulkUpdateKeys"] {
  return async ({ keys }, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    if (keys.length === 0 || keys.length > mostKeys) {
      throw gatewayError(Reason.INVALID_REQUEST, `keys must hold 1 to ${mostKeys} updates.`, { param: "keys" });
    }
    const response = create(BulkUpdateKeysResponseSchema, { totalRequested: keys.length });
    for (const update of keys) {
      try {
        const keyInfo = await updateKeyFor(context, caller, update.key, update, "bulkUpdate");
        response.successfulUpdates.push(create(KeyUpdateSuccessSchema, { key: update.key, keyInfo }));
      } catch (error) {
        const failedReason = ConnectError.from(error).rawMessage;
        response.failedUpdates.push(create(KeyUpdateFailureSchema, { key: update.key, failedReason }));
      }
    }
    return response;
  };
}
