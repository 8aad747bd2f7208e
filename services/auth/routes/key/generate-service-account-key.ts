import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { requireCaller } from "#chassis/access.ts";
import { gatewayError } from "#chassis/errors.ts";
import { GenerateKeyRequestSchema, type KeyService } from "#gen/sluice/auth/v1/key_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { RouteContext } from "../../context.ts";
import { generateKeyFor } from "../../key-generation.ts";

export function generateServiceAccountKey(
  context: RouteContext,
): ServiceImpl<typeof KeyService>["generateServiceAccountKey"] {
  return async ({ account = create(GenerateKeyRequestSchema) }, { requestHeader }) => {
    if (!account.settings?.teamId) {
      throw gatewayError(Reason.INVALID_REQUEST, "team_id is required for a service account's key.", {
        param: "team_id",
      });
    }
    delete account.settings.userId;
    return { account: await generateKeyFor(context, requireCaller(requestHeader), account, "generateServiceAccount") };
  };
}
