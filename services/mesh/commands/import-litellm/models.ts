import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { ConfigurationError } from "#chassis/environment.ts";
import type { ImportedCredential, ImportedModel, ModelCheck } from "../../../router/models/import-models.ts";
import { authorshipOf, type Left, objectOf, omit, textOf, unread } from "./fields.ts";
import type { Source } from "./source.ts";
import type { Unsealed } from "./unsealing.ts";

export const modelTable = { table: "LiteLLM_ProxyModelTable", key: ["model_id"] };
export const credentialTable = { table: "LiteLLM_CredentialsTable", key: ["credential_id"] };

/** What a deployment or a credential was read as. */
export interface ReadModel<T> {
  readonly name: string;
  readonly row: T | { readonly leftBecause: string };
  readonly left: readonly Left[];
}

/** An object with every sealed text opened, and the names of members that did not open. */
export function openMembers(object: JsonObject, unseal: (text: string) => Unsealed) {
  const closed: string[] = [];
  const opened = Object.entries(object).map(([name, value]) => [
    name,
    openValue(value, unseal, () => closed.push(name)),
  ]);
  const values: JsonObject = Object.fromEntries(opened);
  return { values, closed };
}

function openValue(value: JsonValue, unseal: (text: string) => Unsealed, onClosed: () => void): JsonValue {
  if (typeof value === "string") {
    const result = unseal(value);
    if (result.state === "closed") onClosed();
    return result.state === "closed" ? value : result.value;
  }
  if (Array.isArray(value)) return value.map((item) => openValue(item, unseal, onClosed));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, openValue(item, unseal, onClosed)]));
}

/**
 * Opens every sealed value once, before anything is written.
 *
 * @throws ConfigurationError that says how many do not open.
 */
export async function requireReadable(
  source: Source,
  unseal: (text: string) => Unsealed,
  hasKeys: boolean,
): Promise<void> {
  let opened = 0;
  let closed = 0;
  const counting = (text: string): Unsealed => {
    const result = unseal(text);
    if (result.state === "opened") opened += 1;
    if (result.state === "closed") closed += 1;
    return result;
  };
  for await (const rows of source.pages(modelTable.table, modelTable.key)) {
    for (const row of rows) openMembers(objectOf(row.litellm_params), counting);
  }
  for await (const rows of source.pages(credentialTable.table, credentialTable.key)) {
    for (const row of rows) openMembers(objectOf(row.credential_values), counting);
  }
  if (closed === 0) return;
  const what = `${closed} of the ${opened + closed} sealed values of LiteLLM's models and credentials do not open`;
  const advice = hasKeys
    ? "with the keys given. LiteLLM seals under its LITELLM_SALT_KEY; without one, under its master key."
    : "without a key. Give LiteLLM's LITELLM_SALT_KEY as --salt-key; if it had none, its master key as --master-key.";
  throw new ConfigurationError(
    `${what} ${advice}\nNothing was written. To leave out the models and credentials that do not open: --leave-unreadable`,
  );
}

/** Reads a deployment. `check` says what it would do here. */
export function readModel(
  row: JsonObject,
  unseal: (text: string) => Unsealed,
  check: (model: ImportedModel) => ModelCheck,
  now: Date,
): ReadModel<ImportedModel> {
  const [modelId, modelName] = [String(row.model_id), String(row.model_name)];
  const name = `${modelName} (${modelId})`;
  const { values, closed } = openMembers(objectOf(row.litellm_params), unseal);
  if (closed.length > 0) return { name, row: { leftBecause: doNotOpen(closed) }, left: [] };
  const info = objectOf(row.model_info);
  const model: ImportedModel = {
    modelId,
    modelName,
    params: values,
    info: omit(info, ["id", "db_model", "blocked"]),
    blocked: row.blocked === true || info.blocked === true,
    ...authorshipOf(row, now),
  };
  const { fault, warnings } = check(model);
  if (fault !== undefined) return { name, row: { leftBecause: fault }, left: [] };
  const read = ["model_id", "model_name", "litellm_params", "model_info", "blocked"];
  const dated = ["created_at", "created_by", "updated_at", "updated_by"];
  return {
    name,
    row: model,
    left: [
      ...warnings.map((reason) => ({ field: "", reason })),
      ...unread(row, [...read, ...dated], "has no effect here"),
    ],
  };
}

export function readCredential(
  row: JsonObject,
  unseal: (text: string) => Unsealed,
  now: Date,
): ReadModel<ImportedCredential> {
  const credentialName = String(row.credential_name);
  const { values, closed } = openMembers(objectOf(row.credential_values), unseal);
  if (closed.length > 0) return { name: credentialName, row: { leftBecause: doNotOpen(closed) }, left: [] };
  const info = objectOf(row.credential_info);
  const display = textOf(row.display_name);
  return {
    name: credentialName,
    row: { credentialName, info, values, ...authorshipOf(row, now) },
    left: display === undefined ? [] : [{ field: "display_name", reason: "has no counterpart" }],
  };
}

function doNotOpen(members: readonly string[]): string {
  return `${members.join(", ")} cannot be opened with the keys given`;
}
