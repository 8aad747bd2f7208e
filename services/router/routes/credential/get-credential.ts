import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { type CredentialService, GetCredentialResponseSchema } from "#gen/sluice/router/v1/credential_service_pb.ts";
import type { AdminContext } from "../../models/admin-context.ts";
import { credentialView } from "../../models/credential-view.ts";
import { credentialNotFound } from "../../models/stored-credentials.ts";

export function createGetCredential({ live }: AdminContext): ServiceImpl<typeof CredentialService>["getCredential"] {
  return ({ credentialName }) => {
    const credential = live.current.credentials.get(credentialName);
    if (credential === undefined) throw credentialNotFound();
    return create(GetCredentialResponseSchema, { credential: credentialView(credential) });
  };
}
