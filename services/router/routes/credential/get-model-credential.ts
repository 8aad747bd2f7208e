import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import {
  type CredentialService,
  GetModelCredentialResponseSchema,
} from "#gen/sluice/router/v1/credential_service_pb.ts";
import type { AdminContext } from "../../models/admin-context.ts";
import { credentialMessage } from "../../models/credential-view.ts";
import { credentialPart } from "../../models/stored-credentials.ts";

export function createGetModelCredential({
  live,
}: AdminContext): ServiceImpl<typeof CredentialService>["getModelCredential"] {
  return ({ modelId }) => {
    const member = live.current.registry.members.find(({ id }) => id === modelId);
    if (member === undefined) throw gatewayError(Reason.NOT_FOUND, "Model not found", { param: "model_id" });
    const { modelName, about } = member.config;
    const credential = credentialMessage(`${modelName}-credential`, {}, credentialPart(about.params));
    return create(GetModelCredentialResponseSchema, { credential });
  };
}
