import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { requireCaller } from "#chassis/access.ts";
import { type KeyService, UpdateKeyResponseSchema } from "#gen/sluice/auth/v1/key_service_pb.ts";
import type { RouteContext } from "../../context.ts";
import { updateKeyFor } from "../../key-changing.ts";

export function updateKey(context: RouteContext): ServiceImpl<typeof KeyService>["updateKey"] {
  return async (request, { requestHeader }) => {
    const stored = await updateKeyFor(context, requireCaller(requestHeader), request.key, request, "update");
    return create(UpdateKeyResponseSchema, { key: request.key, stored });
  };
}
