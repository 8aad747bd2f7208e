import { defineEntity, type InferEntity, p } from "@mikro-orm/core";

/** What every stored thing has beside its columns. */
const stored = {
  createdAt: p.datetime(),
  /** A user's id, or the hash of a key. */
  createdBy: p.text(),
  updatedAt: p.datetime(),
  updatedBy: p.text(),
  /** Counts changes, from 1. */
  version: p.integer(),
};

/** One deployment that was made by API. */
export const StoredDeployment = defineEntity({
  name: "StoredDeployment",
  tableName: "deployment",
  properties: {
    modelId: p.text().primary(),
    modelName: p.text(),
    /** The team that alone may use it. */
    teamId: p.text().nullable(),
    /** What of `litellm_params` holds no secret. */
    litellmParams: p.json<object>(),
    /** The rest of it, a JSON object, sealed. Null where there is none. */
    sealedParams: p.uint8array().nullable(),
    modelInfo: p.json<object>(),
    blocked: p.boolean(),
    ...stored,
  },
});
export type StoredDeploymentRow = InferEntity<typeof StoredDeployment>;

/** One named credential that was made by API. */
export const StoredCredential = defineEntity({
  name: "StoredCredential",
  tableName: "credential",
  properties: {
    credentialName: p.text().primary(),
    credentialInfo: p.json<object>(),
    /** Its values, a JSON object, sealed. */
    sealedValues: p.uint8array(),
    ...stored,
  },
});
export type StoredCredentialRow = InferEntity<typeof StoredCredential>;

/** One check of one deployment. */
export const HealthCheck = defineEntity({
  name: "HealthCheck",
  tableName: "health_check",
  properties: {
    healthCheckId: p.text().primary(),
    modelId: p.text(),
    modelName: p.text(),
    healthy: p.boolean(),
    errorMessage: p.text().nullable(),
    responseTimeMs: p.integer(),
    /** The deployment's parameters, credentials masked. */
    details: p.json<object>(),
    checkedBy: p.text(),
    checkedAt: p.datetime(),
  },
});
export type HealthCheckRow = InferEntity<typeof HealthCheck>;
