import type { Secret } from "#chassis/secret.ts";
import { parseObject, textOf } from "./translate/json-reading.ts";

/** Long-lived keys of an AWS user, or temporary ones with their session token. */
export interface AwsKeys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Empty for long-lived keys. */
  readonly sessionToken: string;
}

/** What a call to AWS is authorized by: an API key in a header, or a signature made with keys. */
export interface AwsCredential {
  /** Empty where there is none. */
  readonly apiKey: string;
  /** Undefined where one of the two keys is missing. */
  readonly keys: AwsKeys | undefined;
}

/** Reads a credential: an API key as it is, or a JSON object with `api_key` and LiteLLM's names of the keys. */
export function readAwsCredential(credential: Secret | undefined): AwsCredential {
  const text = credential?.reveal().trim() ?? "";
  const secrets = text.startsWith("{") ? parseObject(text) : undefined;
  if (secrets === undefined) return { apiKey: text, keys: undefined };
  const accessKeyId = textOf(secrets.aws_access_key_id).trim();
  const secretAccessKey = textOf(secrets.aws_secret_access_key).trim();
  const sessionToken = textOf(secrets.aws_session_token).trim();
  const complete = accessKeyId !== "" && secretAccessKey !== "";
  return {
    apiKey: textOf(secrets.api_key).trim(),
    keys: complete ? { accessKeyId, secretAccessKey, sessionToken } : undefined,
  };
}
