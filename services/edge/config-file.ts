import { z } from "zod";
import { readSection, type YamlDocument } from "#chassis/yaml-file.ts";
import type { TokenUse } from "./config.ts";

const flag = z.boolean("expected true or false").nullish();
const generalSchema = z.looseObject({ enable_jwt_auth: flag, enable_oauth2_auth: flag }).nullish();

/**
 * Reads which tokens a LiteLLM configuration accepts beside keys: `enable_jwt_auth` and `enable_oauth2_auth` of
 * `general_settings`.
 *
 * @throws ConfigurationError where a value is wrong.
 */
export function readTokenUse(document: YamlDocument): TokenUse {
  const general = readSection(document, ["general_settings"], generalSchema) ?? {};
  return { signed: general.enable_jwt_auth ?? false, opaque: general.enable_oauth2_auth ?? false };
}
