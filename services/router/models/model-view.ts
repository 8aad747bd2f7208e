import { create, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { Sealer } from "#chassis/sealing.ts";
import {
  type ModelInfo,
  ModelInfoSchema,
  type StoredModel,
  StoredModelSchema,
} from "#gen/sluice/router/v1/model_pb.ts";
import type { StoredDeploymentRow } from "../db/entities.ts";
import { jsonObject, maskFacts, maskParams } from "../masking.ts";
import type { Rates } from "../prices/price.ts";
import type { RegistryMember } from "../registry/registry.ts";
import { openParams } from "./sealed-params.ts";

const encoder = new TextEncoder();

export function jsonBytes(value: JsonValue): Uint8Array<ArrayBuffer> {
  return encoder.encode(JSON.stringify(value));
}

/** A row of the database as its makers see it. */
export function storedModelView(row: StoredDeploymentRow, sealer: Sealer): StoredModel {
  const open = jsonObject({ ...row.litellmParams });
  return create(StoredModelSchema, {
    modelId: row.modelId,
    modelName: row.modelName,
    litellmParams: jsonBytes(maskParams(openParams({ open, sealed: row.sealedParams ?? null }, sealer))),
    modelInfo: jsonBytes({ id: row.modelId, db_model: true, team_id: row.teamId ?? null, ...shownInfo(row) }),
    blocked: row.blocked,
    createdAt: timestampFromDate(row.createdAt),
    createdBy: row.createdBy,
    updatedAt: timestampFromDate(row.updatedAt),
    updatedBy: row.updatedBy,
    version: row.version,
  });
}

function shownInfo(row: StoredDeploymentRow): JsonObject {
  return maskFacts(jsonObject({ ...row.modelInfo }));
}

/** A deployment as everybody sees it who may use it. `more` is added to its `model_info`. */
export function modelInfoView(member: RegistryMember, now: number, more: JsonObject = {}): ModelInfo {
  const { config } = member;
  return create(ModelInfoSchema, {
    modelName: config.modelName,
    litellmParams: jsonBytes(config.about.params),
    modelInfo: jsonBytes({ ...factsOf(member, now), ...more }),
  });
}

/** Everything that is known of a deployment: what was said of it wins over what the gateway knows by itself. */
export function factsOf({ config, id, deployment }: RegistryMember, now: number): JsonObject {
  const { about, stored } = config;
  return {
    key: config.provider === undefined ? config.model : `${config.provider}/${config.model}`,
    litellm_provider: deployment?.provider ?? config.provider ?? null,
    mode: about.mode,
    max_tokens: config.maxOutputTokens ?? null,
    max_input_tokens: null,
    max_output_tokens: config.maxOutputTokens ?? null,
    ...pricesOf(deployment?.price(now)?.base),
    ...about.info,
    id,
    db_model: stored !== undefined,
    ...(stored && {
      created_at: stored.createdAt.toISOString(),
      created_by: stored.createdBy,
      updated_at: stored.updatedAt.toISOString(),
      updated_by: stored.updatedBy,
      version: stored.version,
    }),
  };
}

/** US dollars per token; null where nobody knows. */
function pricesOf(rates: Rates | undefined): JsonObject {
  return {
    input_cost_per_token: rates === undefined ? null : usdPerToken(rates.input),
    output_cost_per_token: rates === undefined ? null : usdPerToken(rates.output),
    cache_read_input_token_cost: rates === undefined ? null : usdPerToken(rates.cacheRead),
    cache_creation_input_token_cost: rates === undefined ? null : usdPerToken(rates.cacheWrite),
  };
}

/** From nano-USD per million tokens. */
export function usdPerToken(rate: bigint): number {
  return Number(rate) / 1e15;
}
