import { create, type JsonObject } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { requireCaller } from "#chassis/access.ts";
import { createdBy } from "#chassis/authorship.ts";
import { isUniqueViolation } from "#chassis/database/database.ts";
import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import {
  type CreateCredentialRequest,
  CreateCredentialResponseSchema,
  type CredentialService,
} from "#gen/sluice/router/v1/credential_service_pb.ts";
import { StoredCredential, StoredDeployment } from "../../db/entities.ts";
import type { AdminContext } from "../../models/admin-context.ts";
import { change } from "../../models/change.ts";
import { invalid, readJsonObject, withoutNulls } from "../../models/model-input.ts";
import { sealObject } from "../../models/sealed-params.ts";
import { checkCredentialValues, storedCredentialPart } from "../../models/stored-credentials.ts";

export function createCreateCredential(
  context: AdminContext,
): ServiceImpl<typeof CredentialService>["createCredential"] {
  const { sync, clock } = context;
  return async (request, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const { credentialName } = request;
    if (credentialName === "") throw invalid("credential_name", "'credential_name' must not be empty.");
    const info = readJsonObject("credential_info", request.credentialInfo);
    const values = checkCredentialValues(await valuesOf(request, context));
    const row = {
      credentialName,
      credentialInfo: info,
      sealedValues: sealObject(values, sync.sealer),
      ...createdBy(caller, new Date(clock())),
    };
    await change(context, caller, async (em) => {
      await em.insert(StoredCredential, row).catch((error: unknown) => {
        throw isUniqueViolation(error) ? nameTaken(credentialName) : error;
      });
      return { result: undefined, changed: { kind: "credential", name: credentialName, action: "created" } };
    });
    return create(CreateCredentialResponseSchema, { success: true, message: "Credential created successfully" });
  };
}

async function valuesOf(request: CreateCredentialRequest, context: AdminContext): Promise<JsonObject> {
  const given = withoutNulls(readJsonObject("credential_values", request.credentialValues));
  const { modelId } = request;
  if (Object.keys(given).length > 0 || !modelId) return given;
  const row = await context.sync.database.em().findOne(StoredDeployment, { modelId });
  if (row === null) throw gatewayError(Reason.NOT_FOUND, "Model not found", { param: "model_id" });
  return storedCredentialPart(row, context);
}

function nameTaken(name: string) {
  return gatewayError(Reason.CONFLICT, `Credential '${name}' exists already.`, { param: "credential_name" });
}
