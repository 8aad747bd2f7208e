import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { requireCaller } from "#chassis/access.ts";
import { touch } from "#chassis/authorship.ts";
import { type CredentialService, UpdateCredentialResponseSchema } from "#gen/sluice/router/v1/credential_service_pb.ts";
import { jsonObject, maskFacts, secretValues } from "../../masking.ts";
import type { AdminContext } from "../../models/admin-context.ts";
import { change } from "../../models/change.ts";
import { maskValues } from "../../models/credential-view.ts";
import { readJsonObject } from "../../models/model-input.ts";
import { mergeMembers, openObject, sealObject } from "../../models/sealed-params.ts";
import { checkCredentialValues, lockCredential } from "../../models/stored-credentials.ts";

export function createUpdateCredential(
  context: AdminContext,
): ServiceImpl<typeof CredentialService>["updateCredential"] {
  const { sync, clock } = context;
  return async (request, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const info = readJsonObject("credential_info", request.credentialInfo);
    const values = readJsonObject("credential_values", request.credentialValues);
    const { sealer } = sync;
    await change(context, caller, async (em) => {
      const row = await lockCredential(em, context, request.credentialName);
      const current = openObject(row.sealedValues, sealer);
      const known = jsonObject({ ...row.credentialInfo });
      const shown = maskValues(secretValues(current));
      row.sealedValues = sealObject(checkCredentialValues(mergeMembers(current, values, shown, false)), sealer);
      row.credentialInfo = mergeMembers(known, info, maskFacts(known), false);
      touch(row, caller, new Date(clock()));
      await em.flush();
      return { result: undefined, changed: { kind: "credential", name: row.credentialName, action: "updated" } };
    });
    return create(UpdateCredentialResponseSchema, { success: true, message: "Credential updated successfully" });
  };
}
