import type { SqlEntityManager } from "@mikro-orm/postgresql";
import type { Database } from "#chassis/database/database.ts";
import type { Environment } from "#chassis/environment.ts";
import type { Sealer } from "#chassis/sealing.ts";
import { plainDocument, readSection } from "#chassis/yaml-file.ts";
import { modelListSchema } from "../config-schema.ts";
import {
  StoredCredential,
  type StoredCredentialRow,
  StoredDeployment,
  type StoredDeploymentRow,
} from "../db/entities.ts";
import { jsonObject, maskFacts, secretValues } from "../masking.ts";
import { readDeployment } from "../model-list.ts";
import type { ProviderNames } from "../provider-table.ts";
import type { DeploymentConfig, NamedCredential } from "../router-config.ts";
import { openObject, openParams } from "./sealed-params.ts";

/** What the database holds, as of one of its revisions. Rows that did not change are the same objects as before. */
export interface StoredModels {
  readonly revision: bigint;
  readonly deployments: readonly StoredDeploymentRow[];
  readonly credentials: readonly StoredCredentialRow[];
}

export const nothingStored: StoredModels = { revision: -1n, deployments: [], credentials: [] };

const batchSize = 1000;

/** Reads what has changed since `known`; the same object where nothing has. */
export async function readStoredModels(database: Database, known: StoredModels): Promise<StoredModels> {
  const em = database.em();
  const revision = await readRevision(em);
  if (revision === known.revision) return known;
  const marks = await em.execute<{ model_id: string; version: number; updated_at: Date | string }[]>(
    "select model_id, version, updated_at from router.deployment order by created_at, model_id",
  );
  const rows = new Map(known.deployments.map((row) => [row.modelId, row]));
  const changed = marks.filter(({ model_id, version, updated_at }) => {
    const row = rows.get(model_id);
    return row?.version !== version || row.updatedAt.getTime() !== new Date(updated_at).getTime();
  });
  for (let at = 0; at < changed.length; at += batchSize) {
    const ids = changed.slice(at, at + batchSize).map(({ model_id }) => model_id);
    for (const row of await database.em().find(StoredDeployment, { modelId: { $in: ids } })) rows.set(row.modelId, row);
  }
  return {
    revision,
    deployments: marks.flatMap(({ model_id }) => rows.get(model_id) ?? []),
    credentials: await readCredentials(database, known.credentials),
  };
}

async function readRevision(em: SqlEntityManager): Promise<bigint> {
  const [row] = await em.execute<{ revision: string }[]>("select revision from router.state");
  return BigInt(row?.revision ?? 0);
}

async function readCredentials(database: Database, known: readonly StoredCredentialRow[]) {
  const rows = await database.em().find(StoredCredential, {}, { orderBy: { credentialName: "asc" } });
  const before = new Map(known.map((row) => [row.credentialName, row]));
  return rows.map((row) => {
    const old = before.get(row.credentialName);
    return old?.version === row.version && old.updatedAt.getTime() === row.updatedAt.getTime() ? old : row;
  });
}

/** What it takes to read a row. */
export interface RowReading {
  readonly names: ProviderNames;
  readonly references: Environment;
  readonly sealer: Sealer;
}

/** A row as an entry of `model_list`. Throws where it does not open, or makes no sense any more. */
export function readRow(row: StoredDeploymentRow, { names, references, sealer }: RowReading): DeploymentConfig {
  const params = openParams({ open: jsonObject({ ...row.litellmParams }), sealed: row.sealedParams ?? null }, sealer);
  const info = { ...row.modelInfo, id: row.modelId, team_id: row.teamId, blocked: row.blocked };
  const written = { model_name: row.modelName, litellm_params: params, model_info: info };
  const document = plainDocument({ model_list: [written] }, references);
  const [entry] = readSection(document, ["model_list"], modelListSchema) ?? [];
  const config = entry && readDeployment(document, names, entry, 0, []);
  if (config === undefined) throw new Error("its provider is not known");
  const { createdAt, createdBy, updatedAt, updatedBy, version } = row;
  return { ...config, stored: { createdAt, createdBy, updatedAt, updatedBy, version } };
}

export function readCredentialRow(row: StoredCredentialRow, { references, sealer }: RowReading): NamedCredential {
  const written = { ...openObject(row.sealedValues, sealer) };
  const { value, missing } = plainDocument(written, references);
  return {
    name: row.credentialName,
    info: maskFacts(jsonObject({ ...row.credentialInfo })),
    values: secretValues(jsonObject({ ...Object(value) })),
    missingVariable: missing.find(({ path }) => path[0] === "api_key")?.name,
  };
}
