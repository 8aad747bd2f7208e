import { create, type JsonObject } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type ModelHealthService,
  TestModelConnectionResponseSchema,
} from "#gen/sluice/router/v1/model_health_service_pb.ts";
import { withNamedCredential } from "../../model-list.ts";
import type { AdminContext } from "../../models/admin-context.ts";
import type { Generation } from "../../models/live-models.ts";
import { checkDraft, cleanInfo, cleanParams, invalid, readJsonObject, withoutNulls } from "../../models/model-input.ts";
import { jsonBytes } from "../../models/model-view.ts";
import type { RegistryMember } from "../../registry/registry.ts";
import type { DeploymentConfig } from "../../router-config.ts";

const untested = "connection-test";

export function createTestModelConnection({
  live,
  prober,
}: AdminContext): ServiceImpl<typeof ModelHealthService>["testModelConnection"] {
  return async ({ mode, litellmParams, modelInfo }) => {
    const params = withoutNulls(cleanParams(readJsonObject("litellm_params", litellmParams)));
    const info = withoutNulls(cleanInfo(readJsonObject("model_info", modelInfo)));
    const member = memberOf(params, info, live.current);
    const { error } = await prober.probe(member, mode || undefined);
    const shown = member.config.about.params;
    const result = error === undefined ? shown : { ...shown, error };
    return create(TestModelConnectionResponseSchema, {
      status: error === undefined ? "success" : "error",
      result: jsonBytes(result),
    });
  };
}

/** What was described; a name of a configured deployment, or a model that one has, brings along what is not given. */
function memberOf(params: JsonObject, info: JsonObject, generation: Generation): RegistryMember {
  const { maker, registry, names, credentials } = generation;
  const { model } = params;
  if (typeof model !== "string" || model === "")
    throw invalid("litellm_params.model", "'litellm_params.model' must name a model.");
  const alike = registry.members.find(
    ({ config, deployment }) =>
      deployment !== undefined && (config.modelName === model || config.about.params.model === model),
  );
  if (alike !== undefined && Object.keys(params).length === 1) return alike;
  const named = alike?.config.about.params.model ?? model;
  const own = checkDraft({ modelName: untested, params: { ...params, model: named }, info }, generation);
  const row = own.provider === undefined ? undefined : names.byId(own.provider);
  const credential = own.credentialName === undefined ? undefined : credentials.get(own.credentialName);
  const bound = withNamedCredential(own, credential, row) ?? own;
  const config = alike === undefined ? bound : withDefaultsOf(bound, alike.config);
  return { config, id: untested, deployment: maker.single(config, untested, undefined) };
}

/** An address of somebody's own does not get the credential of another one. */
function withDefaultsOf(own: DeploymentConfig, base: DeploymentConfig): DeploymentConfig {
  const sameAddress = own.baseUrl === "" || own.baseUrl === base.baseUrl;
  return {
    ...own,
    baseUrl: own.baseUrl || base.baseUrl,
    credential: own.credential ?? (sameAddress ? base.credential : undefined),
    missingVariable: own.missingVariable ?? (own.credential === undefined ? base.missingVariable : undefined),
    settings: { ...base.settings, ...own.settings },
    headers: { ...(sameAddress ? base.headers : {}), ...own.headers },
  };
}
