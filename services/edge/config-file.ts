import { z } from "zod";
import { flag } from "#chassis/file-values.ts";
import { readSection, type YamlDocument } from "#chassis/yaml-file.ts";
import type { TokenUse } from "./config.ts";

const generalSchema = z
  .looseObject({
    enable_jwt_auth: flag,
    enable_oauth2_auth: flag,
    litellm_jwtauth: z.looseObject({ oidc_userinfo_enabled: flag }).nullish(),
  })
  .nullish();

/**
 * Reads which tokens a LiteLLM configuration accepts beside keys: `enable_jwt_auth`, `enable_oauth2_auth` and
 * `litellm_jwtauth.oidc_userinfo_enabled` of `general_settings`.
 *
 * @throws ConfigurationError where a value is wrong.
 */
export function readTokenUse(document: YamlDocument): TokenUse {
  const general = readSection(document, ["general_settings"], generalSchema) ?? {};
  const signed = general.enable_jwt_auth ?? false;
  const asksUserInfo = signed && general.litellm_jwtauth?.oidc_userinfo_enabled === true;
  return { signed, opaque: general.enable_oauth2_auth === true || asksUserInfo };
}
