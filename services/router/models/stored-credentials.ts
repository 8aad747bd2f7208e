import type { JsonObject } from "@bufbuild/protobuf";
import { LockMode } from "@mikro-orm/core";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { StoredCredential, type StoredCredentialRow, type StoredDeploymentRow } from "../db/entities.ts";
import { jsonObject } from "../masking.ts";
import type { AdminContext } from "./admin-context.ts";
import { invalid } from "./model-input.ts";
import { openParams } from "./sealed-params.ts";

/** Parameters that say where and as whom to call, in LiteLLM's words. */
const credentialParams: ReadonlySet<string> = new Set([
  "api_key",
  "api_base",
  "api_version",
  "azure_ad_token",
  "tenant_id",
  "client_id",
  "client_secret",
  "vertex_project",
  "vertex_location",
  "vertex_credentials",
  "region_name",
  "aws_access_key_id",
  "aws_secret_access_key",
  "aws_session_token",
  "aws_region_name",
  "watsonx_region_name",
]);

/** What of a deployment's parameters is a credential. */
export function credentialPart(params: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(params).filter(([name, value]) => credentialParams.has(name) && value !== null),
  );
}

/** What of a stored deployment is a credential, as it is. */
export function storedCredentialPart(row: StoredDeploymentRow, { sync }: AdminContext): JsonObject {
  const open = jsonObject({ ...row.litellmParams });
  return credentialPart(openParams({ open, sealed: row.sealedParams ?? null }, sync.sealer));
}

/** A credential of the database, locked. @throws NOT_FOUND, or INVALID_REQUEST where the configuration file has it. */
export async function lockCredential(
  em: SqlEntityManager,
  { live }: AdminContext,
  credentialName: string,
): Promise<StoredCredentialRow> {
  const row = await em.findOne(StoredCredential, { credentialName }, { lockMode: LockMode.PESSIMISTIC_WRITE });
  if (row !== null) return row;
  if (live.current.credentials.has(credentialName)) {
    throw invalid("credential_name", "The credential is one of the configuration file: change it there.");
  }
  throw credentialNotFound();
}

export function credentialNotFound() {
  return gatewayError(Reason.NOT_FOUND, "Credential not found.", { param: "credential_name" });
}

/** @throws INVALID_REQUEST for values that no credential can have. */
export function checkCredentialValues(values: JsonObject): JsonObject {
  if (Object.keys(values).length === 0) {
    throw invalid("credential_values", "'credential_values' must hold at least one value.");
  }
  for (const name of ["api_key", "api_base", "base_url"]) {
    const value = values[name];
    if (value !== undefined && typeof value !== "string")
      throw invalid(name, `'credential_values.${name}' must be a text.`);
  }
  const address = values.api_base ?? values.base_url;
  const isReference = typeof address === "string" && address.startsWith("os.environ/");
  if (typeof address === "string" && !isReference && !/^https?:$/.test(URL.parse(address)?.protocol ?? "")) {
    throw invalid("api_base", "'credential_values.api_base' must be an http:// or https:// address.");
  }
  return values;
}
