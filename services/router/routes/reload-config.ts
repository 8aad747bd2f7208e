import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { requireCaller } from "#chassis/access.ts";
import { ConfigurationError } from "#chassis/environment.ts";
import { type ConfigService, ReloadConfigResponseSchema } from "#gen/sluice/router/v1/config_service_pb.ts";
import type { AdminContext } from "../models/admin-context.ts";
import { invalid } from "../models/model-input.ts";
import { recordReload } from "../models/record-reload.ts";

export function createReloadConfig(context: AdminContext): ServiceImpl<typeof ConfigService>["reloadConfig"] {
  const { live, reload } = context;
  return async (_, { requestHeader }) => {
    const warnings = await reload().catch((error: unknown) => {
      throw error instanceof ConfigurationError ? invalid("config", error.message) : error;
    });
    await recordReload(context, requireCaller(requestHeader));
    const models = live.current.loaded.config.deployments.length;
    const message = `The configuration file was read again: ${models} models.`;
    return create(ReloadConfigResponseSchema, { message, models, warnings: [...warnings] });
  };
}
