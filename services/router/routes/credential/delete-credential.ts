import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { requireCaller } from "#chassis/access.ts";
import { type CredentialService, DeleteCredentialResponseSchema } from "#gen/sluice/router/v1/credential_service_pb.ts";
import { StoredCredential } from "../../db/entities.ts";
import type { AdminContext } from "../../models/admin-context.ts";
import { change } from "../../models/change.ts";
import { lockCredential } from "../../models/stored-credentials.ts";

export function createDeleteCredential(
  context: AdminContext,
): ServiceImpl<typeof CredentialService>["deleteCredential"] {
  return async (request, { requestHeader }) => {
    await change(context, requireCaller(requestHeader), async (em) => {
      const { credentialName } = await lockCredential(em, context, request.credentialName);
      await em.nativeDelete(StoredCredential, { credentialName });
      return { result: undefined, changed: { kind: "credential", name: credentialName, action: "deleted" } };
    });
    return create(DeleteCredentialResponseSchema, { success: true, message: "Credential deleted successfully" });
  };
}
