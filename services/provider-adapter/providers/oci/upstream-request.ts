import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { readOciCredential } from "../../oci-credential.ts";
import type { JsonObject, ProviderCall, UpstreamRequest } from "../../provider.ts";
import { bearerRequest, missingCredential } from "../bearer-request.ts";

export const providerId = "oci";

const defaultRegion = "us-ashburn-1";
const version = "20231130";

/**
 * The HTTP request for an action, https://docs.oracle.com/en-us/iaas/api/#/en/generative-ai-inference/20231130/. The
 * authorizer `oci-signature` signs it.
 */
export function upstreamRequest(call: ProviderCall, action: string, body: JsonObject): UpstreamRequest {
  const isOpen = call.baseUrl !== "" || call.headers.authorization !== undefined;
  if (readOciCredential(call.credential) === undefined && !isOpen) {
    throw missingCredential(
      providerId,
      "no credential for oci: set oci_user, oci_fingerprint, oci_tenancy and oci_key or oci_key_file, or OCI_USER, OCI_FINGERPRINT, OCI_TENANCY and OCI_KEY or OCI_KEY_FILE",
    );
  }
  const sent = { compartmentId: compartmentOf(call), servingMode: servingModeOf(call), ...body };
  return bearerRequest(call, { id: providerId }, `${rootOf(call)}/${version}/actions/${action}`, sent, "");
}

/** A base address with or without the version and what follows it. */
function rootOf({ baseUrl, settings }: ProviderCall): string {
  if (baseUrl !== "") return baseUrl.replace(/\/20231130(?:\/actions(?:\/\w+)?)?$/, "");
  const region = settings.oci_region ?? defaultRegion;
  if (!/^[a-z0-9-]{1,40}$/.test(region)) {
    throw gatewayError(Reason.INVALID_REQUEST, "oci_region is no region of Oracle Cloud.", { param: "model" });
  }
  return `https://inference.generativeai.${region}.oci.oraclecloud.com`;
}

function compartmentOf({ settings }: ProviderCall): string {
  const compartment = settings.oci_compartment_id ?? "";
  if (compartment !== "") return compartment;
  throw gatewayError(Reason.INVALID_REQUEST, "oci needs a compartment: set oci_compartment_id or OCI_COMPARTMENT_ID.", {
    param: "model",
  });
}

/** On demand by the model's name, or on a cluster of one's own by the endpoint's. */
function servingModeOf({ model, settings }: ProviderCall): JsonObject {
  const mode = settings.oci_serving_mode ?? "ON_DEMAND";
  if (mode === "DEDICATED") return { servingType: mode, endpointId: settings.oci_endpoint_id ?? model };
  if (mode === "ON_DEMAND") return { servingType: mode, modelId: model };
  throw gatewayError(Reason.INVALID_REQUEST, "oci_serving_mode is ON_DEMAND or DEDICATED.", { param: "model" });
}
