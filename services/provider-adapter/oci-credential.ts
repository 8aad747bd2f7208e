import type { Secret } from "#chassis/secret.ts";
import { parseObject, textOf } from "./translate/json-reading.ts";

/** The API signing key of a user of Oracle Cloud, and whose it is. */
export interface OciCredential {
  /** `tenancy/user/fingerprint`, as a signature names its key. */
  readonly keyId: string;
  /** The private key, PEM; empty where it lies in a file. */
  readonly key: string;
  /** The path of a file with the private key; empty where `key` has it. */
  readonly keyFile: string;
}

/** Reads a JSON object with LiteLLM's names. Undefined where a part is missing. */
export function readOciCredential(credential: Secret | undefined): OciCredential | undefined {
  const secrets = parseObject(credential?.reveal() ?? "") ?? {};
  const read = (name: string) => textOf(secrets[name]).trim();
  const parts = [read("oci_tenancy"), read("oci_user"), read("oci_fingerprint")];
  // A key in a variable often has its line breaks spelled out.
  const key = read("oci_key").replaceAll("\\n", "\n");
  const keyFile = read("oci_key_file");
  if (parts.includes("") || (key === "" && keyFile === "")) return undefined;
  return { keyId: parts.join("/"), key, keyFile };
}
