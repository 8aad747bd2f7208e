import type { Secret } from "#chassis/secret.ts";
import { parseObject, textOf } from "./translate/json-reading.ts";

/** What a call to Google Cloud is authorized by. One of `apiKey` and `token` at most is not empty. */
export interface GoogleCredential {
  /** A key of Google Cloud, which goes into a header of its own. */
  readonly apiKey: string;
  /** An access token that was given as it is. */
  readonly token: string;
  /**
   * Google's credentials: the JSON text of a service account's key or of a user's refresh token, or the path of a file
   * that holds it. A token has to be fetched with it.
   */
  readonly credentials: string;
}

/** Reads a credential: a token, a key, Google's JSON, or a JSON object with LiteLLM's `api_key` and `vertex_credentials`. */
export function readGoogleCredential(credential: Secret | undefined): GoogleCredential {
  const text = credential?.reveal().trim() ?? "";
  const secrets = text.startsWith("{") ? parseObject(text) : undefined;
  if (secrets === undefined) return fromKey(text);
  if (textOf(secrets.type) !== "") return { apiKey: "", token: "", credentials: text };
  const given = secrets.vertex_credentials;
  const credentials = typeof given === "string" ? given.trim() : JSON.stringify(given ?? "");
  const key = fromKey(textOf(secrets.api_key).trim());
  return key.apiKey === "" && key.token === "" ? { ...key, credentials: credentials === '""' ? "" : credentials } : key;
}

/** The project that Google's JSON names; empty where it names none, or lies in a file. */
export function projectOf(credentials: string): string {
  const parsed = parseObject(credentials);
  return textOf(parsed?.project_id) || textOf(parsed?.quota_project_id);
}

/** Keys of Google Cloud begin so. */
function fromKey(text: string): GoogleCredential {
  return /^(?:AIza|AQ\.)/.test(text)
    ? { apiKey: text, token: "", credentials: "" }
    : { apiKey: "", token: text, credentials: "" };
}
