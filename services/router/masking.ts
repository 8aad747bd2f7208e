import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { catalog } from "#catalog/catalog.ts";
import { Secret } from "#chassis/secret.ts";

/** Names of parameters whose values are credentials, whatever provider they belong to. */
const secretName = /key|secret|passw|passphrase|token|credential|auth|cert|private|signature|cookie|session/i;
/** Names that only look like it. */
const harmlessName = /tokens$|^litellm_credential_name$|^allowed_openai_params$|_cost|_per_/;
/** Texts that may be shown. Every other text of the parameters of a deployment may be a credential. */
const openNames: ReadonlySet<string> = new Set([
  "model",
  "custom_llm_provider",
  "api_base",
  "base_url",
  "api_version",
  "organization",
  "litellm_credential_name",
  "allowed_openai_params",
  "mock_response",
  "tags",
  ...catalog.flatMap(({ settings }) => settings.map(({ name }) => name)),
]);
const reference = "os.environ/";
const shownAtEachEnd = 4;
/** Of a shorter secret nothing is shown: what is left would be easy to guess. */
const shortest = 20;

/** A secret as it may be shown: `sk-1****wxyz`. */
export function maskText(text: string): string {
  if (text === "" || text.startsWith(reference)) return text;
  if (text.length < shortest) return "****";
  return `${text.slice(0, shownAtEachEnd)}****${text.slice(-shownAtEachEnd)}`;
}

/** `litellm_params` as they may be shown. */
export function maskParams(params: JsonObject): JsonObject {
  return mapMembers(params, (name, value) => maskParam(name, value));
}

/** One of `litellm_params` as it may be shown; the value itself where it holds no secret. */
export function maskParam(name: string, value: JsonValue): JsonValue {
  if (harmlessName.test(name)) return value;
  if (secretName.test(name)) return maskEverything(value);
  if (name === "headers" || name === "extra_headers") return maskEverything(value);
  if (openNames.has(name)) return typeof value === "string" ? withoutLogin(value) : value;
  if (typeof value === "string") return maskText(value);
  if (Array.isArray(value)) return value.map((item) => maskParam(name, item));
  return isObject(value) ? maskParams(value) : value;
}

/** `model_info` as it may be shown: only what is named like a credential is masked. */
export function maskFacts(facts: JsonObject): JsonObject {
  return mapMembers(facts, (name, value) => {
    if (secretName.test(name) && !harmlessName.test(name)) return maskEverything(value);
    if (Array.isArray(value)) return value.map((item) => (isObject(item) ? maskFacts(item) : item));
    return isObject(value) ? maskFacts(value) : value;
  });
}

/** Every text of a value masked, numbers too. */
function maskEverything(value: JsonValue): JsonValue {
  if (typeof value === "string") return maskText(value);
  if (typeof value === "number") return "****";
  if (Array.isArray(value)) return value.map(maskEverything);
  return isObject(value) ? mapMembers(value, (_, item) => maskEverything(item)) : value;
}

/** The values of a credential: texts as they are, anything else as JSON. */
export function secretValues(values: JsonObject): ReadonlyMap<string, Secret> {
  return new Map(
    Object.entries(values).flatMap(([name, value]): [string, Secret][] => {
      if (value === null) return [];
      return [[name, new Secret(typeof value === "string" ? value : JSON.stringify(value))]];
    }),
  );
}

export function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A plain copy in which everything is JSON. */
export function jsonObject(value: Readonly<Record<string, unknown>>): JsonObject {
  const copy: JsonValue = JSON.parse(JSON.stringify(value));
  return isObject(copy) ? copy : {};
}

/** An address may carry a name and a password, or a key as its query. */
function withoutLogin(text: string): string {
  const url = text.includes("@") || text.includes("?") ? URL.parse(text) : null;
  if (url === null) return text;
  if (url.username !== "") url.username = "****";
  if (url.password !== "") url.password = "****";
  if (url.search !== "") url.search = "?****";
  return url.href;
}

function mapMembers(object: JsonObject, change: (name: string, value: JsonValue) => JsonValue): JsonObject {
  return Object.fromEntries(Object.entries(object).map(([name, value]) => [name, change(name, value)]));
}
