import { isDeepStrictEqual } from "node:util";
import type { JsonObject } from "@bufbuild/protobuf";
import { LockMode } from "@mikro-orm/core";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { recordImport } from "#chassis/audit/import.ts";
import type { Database } from "#chassis/database/database.ts";
import { type ImportFate, importFate, readImported, rememberImported } from "#chassis/database/imported-rows.ts";
import { ConfigurationError, type Environment } from "#chassis/environment.ts";
import type { Sealer } from "#chassis/sealing.ts";
import { plainDocument, readSection, type YamlDocument } from "#chassis/yaml-file.ts";
import { litellmParamsSchema, modelListSchema } from "../config-schema.ts";
import {
  StoredCredential,
  type StoredCredentialRow,
  StoredDeployment,
  type StoredDeploymentRow,
} from "../db/entities.ts";
import { jsonObject } from "../masking.ts";
import { readDeployment } from "../model-list.ts";
import { readProviders } from "../provider-list.ts";
import { createProviderNames } from "../provider-table.ts";
import { cleanInfo, cleanParams, withoutNulls } from "./model-input.ts";
import { openObject, openParams, sealObject, sealParams } from "./sealed-params.ts";

const paramKeys: ReadonlySet<string> = new Set(Object.keys(litellmParamsSchema.shape));

/** When something was made and changed, and by whom. */
export interface ImportedAuthorship {
  readonly createdAt: Date;
  readonly createdBy: string;
  readonly updatedAt: Date;
  readonly updatedBy: string;
}

/** A deployment of another gateway; its parameters as they are, with their secrets. */
export interface ImportedModel extends ImportedAuthorship {
  readonly modelId: string;
  readonly modelName: string;
  readonly params: JsonObject;
  readonly info: JsonObject;
  readonly blocked: boolean;
}

/** A named credential of another gateway; its values as they are. */
export interface ImportedCredential extends ImportedAuthorship {
  readonly credentialName: string;
  readonly info: JsonObject;
  readonly values: JsonObject;
}

/** Where models go. */
export interface ModelImport {
  readonly database: Database;
  /** Of what is stored. Made on first use: making it may write its key. */
  readonly sealer: () => Promise<Sealer | undefined>;
  readonly dryRun: boolean;
}

/** What a deployment would do here. */
export interface ModelCheck {
  /** Why it cannot be used at all. */
  readonly fault: string | undefined;
  /** What of it has no effect, one sentence each. */
  readonly warnings: readonly string[];
}

/** Reads deployments as the gateway would that has this configuration file and this environment. */
export function createModelCheck(
  document: YamlDocument,
  references: Environment,
): (model: Pick<ImportedModel, "modelName" | "params" | "info">) => ModelCheck {
  const names = createProviderNames(readProviders(document));
  return ({ modelName, params, info }) => {
    const written = {
      model_name: modelName,
      litellm_params: cleanParams(switchesOf(params)),
      model_info: cleanInfo(info),
    };
    const one = plainDocument({ model_list: [written] }, references);
    const warnings: string[] = [];
    try {
      const [entry] = readSection(one, ["model_list"], modelListSchema) ?? [];
      const config = entry && readDeployment(one, names, entry, 0, warnings);
      const said = warnings.map((text) => text.replaceAll("model_list[0].", "").replaceAll("model_list[0] ", ""));
      return config === undefined ? { fault: said.join("; "), warnings: [] } : { fault: undefined, warnings: said };
    } catch (error) {
      if (!(error instanceof ConfigurationError)) throw error;
      return { fault: error.message.replaceAll("model_list[0].", "").replaceAll("\n", "; "), warnings: [] };
    }
  };
}

/**
 * Takes deployments from another gateway, all of them in one transaction that also counts the revision up; see
 * `importFate`. Their secrets are sealed anew.
 *
 * @returns what became of each, in their order.
 */
export function importModels(target: ModelImport, incoming: readonly ImportedModel[]): Promise<ImportFate[]> {
  return importAll(target, modelKind, incoming);
}

/** The same of credentials. */
export function importCredentials(target: ModelImport, incoming: readonly ImportedCredential[]): Promise<ImportFate[]> {
  return importAll(target, credentialKind, incoming);
}

/** A kind of what is stored, as far as an import needs to know it. */
interface StoredKind<Item, Row> {
  readonly name: string;
  idOf(item: Item): string;
  find(em: SqlEntityManager, ids: readonly string[], lockMode: ImportLock): Promise<ReadonlyMap<string, Row>>;
  isSame(row: Row, item: Item, sealer: Sealer | undefined): boolean;
  /** Makes the row, or writes into the one that is there. */
  write(em: SqlEntityManager, item: Item, row: Row | undefined, sealer: Sealer): void;
}

type ImportLock = LockMode.NONE | LockMode.PESSIMISTIC_WRITE;

const modelKind: StoredKind<ImportedModel, StoredDeploymentRow> = {
  name: "model",
  idOf: ({ modelId }) => modelId,
  async find(em, ids, lockMode) {
    const rows = await em.find(StoredDeployment, { modelId: { $in: [...ids] } }, { lockMode });
    return new Map(rows.map((row) => [row.modelId, row]));
  },
  isSame(row, model, sealer) {
    const content = contentOf(model);
    const open = jsonObject({ ...row.litellmParams });
    const params = sealer === undefined ? open : openParams({ open, sealed: row.sealedParams ?? null }, sealer);
    return isDeepStrictEqual(pick(row, content), content) && isDeepStrictEqual(params, paramsOf(model));
  },
  write(em, model, row, sealer) {
    const { open, sealed } = sealParams(paramsOf(model), sealer);
    const { modelId, createdAt, createdBy, updatedAt, updatedBy } = model;
    const columns = { ...contentOf(model), litellmParams: open, sealedParams: sealed, updatedAt, updatedBy };
    if (row !== undefined) Object.assign(row, columns, { version: row.version + 1 });
    else em.create(StoredDeployment, { modelId, ...columns, createdAt, createdBy, version: 1 });
  },
};

function contentOf({ modelName, blocked, info }: ImportedModel) {
  const { team_id: teamId, ...modelInfo } = withoutNulls(cleanInfo(info));
  return { modelName, blocked, modelInfo, teamId: typeof teamId === "string" && teamId !== "" ? teamId : null };
}

function paramsOf({ params }: ImportedModel): JsonObject {
  return withoutNulls(cleanParams(switchesOf(params)));
}

/**
 * The parameters without switches that are off and that nobody reads here. LiteLLM writes every switch that it knows into
 * every row, and what is no parameter of ours is sent to the provider.
 */
function switchesOf(params: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(params).filter(([name, value]) => value !== false || paramKeys.has(name)));
}

const credentialKind: StoredKind<ImportedCredential, StoredCredentialRow> = {
  name: "credential",
  idOf: ({ credentialName }) => credentialName,
  async find(em, names, lockMode) {
    const rows = await em.find(StoredCredential, { credentialName: { $in: [...names] } }, { lockMode });
    return new Map(rows.map((row) => [row.credentialName, row]));
  },
  isSame(row, { info, values }, sealer) {
    if (sealer === undefined || !isDeepStrictEqual(jsonObject({ ...row.credentialInfo }), info)) return false;
    return isDeepStrictEqual(openObject(row.sealedValues, sealer), values);
  },
  write(em, { credentialName, info, values, createdAt, createdBy, updatedAt, updatedBy }, row, sealer) {
    const columns = { credentialInfo: info, sealedValues: sealObject(values, sealer), updatedAt, updatedBy };
    if (row !== undefined) Object.assign(row, columns, { version: row.version + 1 });
    else em.create(StoredCredential, { credentialName, ...columns, createdAt, createdBy, version: 1 });
  },
};

async function importAll<Item, Row extends { version: number }>(
  target: ModelImport,
  kind: StoredKind<Item, Row>,
  incoming: readonly Item[],
): Promise<ImportFate[]> {
  const sealer = incoming.length === 0 ? undefined : await target.sealer();
  return inOneRevision(target, async (em) => {
    const ids = incoming.map(kind.idOf);
    const current = await kind.find(em, ids, target.dryRun ? LockMode.NONE : LockMode.PESSIMISTIC_WRITE);
    const taken = await readImported(em, "router", kind.name, ids);
    const versions = new Map<string, number>();
    const fates = incoming.map((item) => {
      const id = kind.idOf(item);
      const row = current.get(id);
      const known = row && { version: row.version, same: kind.isSame(row, item, sealer) };
      const fate = importFate(known, taken.get(id));
      if (target.dryRun || sealer === undefined || !isTaken(fate)) return fate;
      kind.write(em, item, row, sealer);
      versions.set(id, row?.version ?? 1);
      return fate;
    });
    await rememberImported(em, "router", kind.name, versions);
    return fates;
  });
}

function isTaken(fate: ImportFate): boolean {
  return fate === "created" || fate === "updated";
}

async function inOneRevision(
  { database, dryRun }: ModelImport,
  work: (em: SqlEntityManager) => Promise<ImportFate[]>,
): Promise<ImportFate[]> {
  return database.transaction(async (em) => {
    if (!dryRun) await recordImport(em);
    // Changes take turns by this row; routers look at it now and then.
    if (!dryRun) await em.execute("select revision from router.state for update");
    const fates = await work(em);
    await em.flush();
    if (!dryRun && fates.some(isTaken)) await em.execute("update router.state set revision = revision + 1");
    return fates;
  });
}

/** Of a row, what another object has members for. */
function pick(row: object, like: object): object {
  const columns = new Map(Object.entries(row));
  return Object.fromEntries(Object.keys(like).map((name) => [name, columns.get(name)]));
}
