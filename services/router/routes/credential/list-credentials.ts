import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { type CredentialService, ListCredentialsResponseSchema } from "#gen/sluice/router/v1/credential_service_pb.ts";
import type { AdminContext } from "../../models/admin-context.ts";
import { credentialView } from "../../models/credential-view.ts";

export function createListCredentials({
  live,
}: AdminContext): ServiceImpl<typeof CredentialService>["listCredentials"] {
  return () => {
    const sorted = [...live.current.credentials.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    return create(ListCredentialsResponseSchema, { success: true, credentials: sorted.map(credentialView) });
  };
}
