import type { Secret } from "#chassis/secret.ts";
import { parseObject, textOf } from "./translate/json-reading.ts";

/** Long-lived keys of an AWS user, or temporary ones with their session token. */
export interface AwsKeys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Empty for long-lived keys. */
  readonly sessionToken: string;
}

/** What a deployment says of how its calls to AWS are authorized. */
export interface AwsCredential {
  /** An API key, which goes into a header. Empty where there is none. */
  readonly apiKey: string;
  /** Undefined where one of the two keys is missing. */
  readonly keys: AwsKeys | undefined;
  /** A token of an identity provider that AWS trusts, or `oidc/file/<path>`; empty where there is none. */
  readonly webIdentityToken: string;
}

/** Reads a credential: an API key as it is, or a JSON object with `api_key` and LiteLLM's names of the secrets. */
export function readAwsCredential(credential: Secret | undefined): AwsCredential {
  const text = credential?.reveal().trim() ?? "";
  const secrets = text.startsWith("{") ? parseObject(text) : undefined;
  if (secrets === undefined) return { apiKey: text, keys: undefined, webIdentityToken: "" };
  const accessKeyId = textOf(secrets.aws_access_key_id).trim();
  const secretAccessKey = textOf(secrets.aws_secret_access_key).trim();
  const sessionToken = textOf(secrets.aws_session_token).trim();
  const complete = accessKeyId !== "" && secretAccessKey !== "";
  return {
    apiKey: textOf(secrets.api_key).trim(),
    keys: complete ? { accessKeyId, secretAccessKey, sessionToken } : undefined,
    webIdentityToken: textOf(secrets.aws_web_identity_token).trim(),
  };
}
