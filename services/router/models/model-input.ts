import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { ConfigurationError } from "#chassis/environment.ts";
import { gatewayError } from "#chassis/errors.ts";
import { plainDocument, readSection } from "#chassis/yaml-file.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { modelListSchema } from "../config-schema.ts";
import { isUnbuiltPriceKey, unbuiltKeys } from "../known-keys.ts";
import { isObject } from "../masking.ts";
import { isUnbuilt, readDeployment, unbuiltParams } from "../model-list.ts";
import type { ProviderRow } from "../provider-table.ts";
import type { DeploymentConfig } from "../router-config.ts";
import type { Generation } from "./live-models.ts";

/** A deployment as somebody wants it. */
export interface ModelDraft {
  readonly modelName: string;
  readonly params: JsonObject;
  readonly info: JsonObject;
}

/** What the gateway itself adds to `model_info` when it shows it. */
const shownOnly = new Set([
  "id",
  "db_model",
  "created_at",
  "created_by",
  "updated_at",
  "updated_by",
  "direct_access",
  "access_via_team_ids",
]);

/** Reads a field that holds a JSON object; an absent one is empty. @throws INVALID_REQUEST */
export function readJsonObject(field: string, bytes: Uint8Array): JsonObject {
  if (bytes.length === 0) return {};
  const value: JsonValue = JSON.parse(Buffer.from(bytes).toString());
  if (isObject(value)) return value;
  throw invalid(field, `'${field}' must be an object.`);
}

/** The parameters without what is not set. A member of an update that is null keeps: it says something there. */
export function cleanParams(params: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(params).filter(([name, value]) => !(isUnbuilt(name) && saysNothing(name, value))),
  );
}

/** `model_info` without what is not set, and without what the gateway says itself. */
export function cleanInfo(info: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(info).filter(
      ([name, value]) => !shownOnly.has(name) && !(unbuiltKeys.modelInfo.has(name) && saysNothing(name, value)),
    ),
  );
}

export function withoutNulls(object: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== null));
}

/** A form sends every field it has. */
function saysNothing(name: string, value: JsonValue): boolean {
  if (value === null || value === false || value === "") return true;
  if (value === 0) return isUnbuiltPriceKey(name);
  if (Array.isArray(value)) return value.length === 0;
  return typeof value === "object" && Object.keys(value).length === 0;
}

/**
 * The draft as an entry of `model_list`, checked as one.
 *
 * @throws INVALID_REQUEST that names what is wrong, what is not built, or a credential that does not exist.
 */
export function checkDraft(draft: ModelDraft, { loaded, names, credentials }: Generation): DeploymentConfig {
  const { modelName, params, info } = draft;
  const written = { model_name: modelName, litellm_params: params, model_info: info };
  const config = explained(() => {
    const document = plainDocument({ model_list: [written] }, loaded.references);
    const [entry] = readSection(document, ["model_list"], modelListSchema) ?? [];
    return entry && readDeployment(document, names, entry, 0, []);
  });
  if (config === undefined) {
    throw invalid("litellm_params", `The provider of '${String(params.model)}' is not supported yet.`);
  }
  refuseUnbuilt(draft, config.provider === undefined ? undefined : names.byId(config.provider));
  if (config.credentialName !== undefined && !credentials.has(config.credentialName)) {
    throw invalid("litellm_credential_name", `There is no credential '${config.credentialName}'.`);
  }
  return config;
}

function refuseUnbuilt({ params, info }: ModelDraft, row: ProviderRow | undefined): void {
  const [param] = unbuiltParams(Object.keys(params), row);
  const fact = Object.keys(info).find((name) => unbuiltKeys.modelInfo.has(name));
  const name = param === undefined ? fact && `model_info.${fact}` : `litellm_params.${param}`;
  if (name !== undefined) throw invalid(name, `'${name}' is not supported yet.`);
}

/** A wrong value is said as of a field of the request, and not as of a line of a file. */
function explained<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    const said = error.message.replaceAll("model_list[0].", "");
    throw invalid(/^[\w.]+/.exec(said)?.[0] ?? "litellm_params", `${said.replaceAll("\n", "; ")}.`);
  }
}

export function invalid(param: string, message: string) {
  return gatewayError(Reason.INVALID_REQUEST, message, { param });
}
