import type { ServiceImpl } from "@connectrpc/connect";
import { requireCaller } from "#chassis/access.ts";
import type { KeyService } from "#gen/sluice/auth/v1/key_service_pb.ts";
import type { RouteContext } from "../../context.ts";
import { generateKeyFor } from "../../key-generation.ts";

export function generateKey(context: RouteContext): ServiceImpl<typeof KeyService>["generateKey"] {
  return (request, { requestHeader }) => generateKeyFor(context, requireCaller(requestHeader), request, "generate");
}
