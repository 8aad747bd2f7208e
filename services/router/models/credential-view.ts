import { create, type JsonObject } from "@bufbuild/protobuf";
import type { Secret } from "#chassis/secret.ts";
import { type Credential, CredentialSchema } from "#gen/sluice/router/v1/credential_pb.ts";
import { maskParams } from "../masking.ts";
import type { NamedCredential } from "../router-config.ts";
import { jsonBytes } from "./model-view.ts";

/** A credential as it may be shown. */
export function credentialView({ name, info, values }: NamedCredential): Credential {
  return credentialMessage(name, info, maskValues(values));
}

/** The values of a credential as they may be shown: addresses and regions as they are, everything else masked. */
export function maskValues(values: ReadonlyMap<string, Secret>): JsonObject {
  return maskParams(Object.fromEntries([...values].map(([name, value]) => [name, value.reveal()] as const)));
}

export function credentialMessage(name: string, info: JsonObject, masked: JsonObject): Credential {
  return create(CredentialSchema, {
    credentialName: name,
    credentialInfo: jsonBytes(info),
    credentialValues: jsonBytes(masked),
  });
}
