import { create, type JsonObject } from "@bufbuild/protobuf";
import { type Credential, CredentialSchema } from "#gen/sluice/router/v1/credential_pb.ts";
import { maskText } from "../masking.ts";
import type { NamedCredential } from "../router-config.ts";
import { jsonBytes } from "./model-view.ts";

/** A credential with every value masked. */
export function credentialView({ name, info, values }: NamedCredential): Credential {
  const masked = [...values].map(([key, value]) => [key, maskText(value.reveal())] as const);
  return credentialMessage(name, info, Object.fromEntries(masked));
}

export function credentialMessage(name: string, info: JsonObject, masked: JsonObject): Credential {
  return create(CredentialSchema, {
    credentialName: name,
    credentialInfo: jsonBytes(info),
    credentialValues: jsonBytes(masked),
  });
}
