import { create } from "@bufbuild/protobuf";
import { z } from "zod";
import { addDuration, parseDuration } from "#chassis/duration.ts";
import { ConfigurationError, type Environment, list, text } from "#chassis/environment.ts";
import { numberIn } from "#chassis/file-values.ts";
import { errorText } from "#chassis/log.ts";
import { Secret } from "#chassis/secret.ts";
import { readSection, type YamlDocument } from "#chassis/yaml-file.ts";
import { LimitsSchema } from "#gen/sluice/auth/v1/limits_pb.ts";
import { type UserSettings, UserSettingsSchema } from "#gen/sluice/auth/v1/user_pb.ts";
import { readUserSettings } from "../user-input.ts";

/** Where people log in. The names of the variables are LiteLLM's, but for GENERIC_ISSUER. */
export interface LoginSettings {
  readonly provider: LoginProvider;
  /** The gateway as browsers reach it, without a slash at its end. */
  readonly baseUrl: string;
  /** The id, at the provider, of somebody who is always a proxy admin. */
  readonly adminId: string | undefined;
  /** Domains of e-mail addresses, in lowercase; undefined lets everybody in whom the provider knows. */
  readonly emailDomains: readonly string[] | undefined;
  readonly sessionMs: number;
  /** What a new user gets. */
  readonly newUser: UserSettings;
}

/** An identity provider, and what its claims are called. */
export interface LoginProvider {
  readonly clientId: string;
  readonly clientSecret: Secret | undefined;
  readonly scope: string;
  /** What finds its endpoints: its issuer, or they themselves. */
  readonly server: { readonly issuer: string } | LoginEndpoints;
  readonly claims: ClaimNames;
  /** Whether every address that it states is the user's own, said or not. */
  readonly emailsAreVerified: boolean;
}

export interface LoginEndpoints {
  readonly authorization: string;
  readonly token: string;
  readonly userinfo: string;
}

/** Names of claims; a dot leads into an object. Of several names the first that is there counts. */
export interface ClaimNames {
  readonly id: readonly string[];
  readonly email: readonly string[];
  readonly name: readonly string[];
  readonly role: readonly string[];
}

const sectionSchema = z
  .looseObject({
    default_internal_user_params: z
      .looseObject({
        user_role: z.string().nullish(),
        models: z.array(z.string()).nullish(),
        max_budget: numberIn(z.number().min(0)),
        budget_duration: z.string().nullish(),
      })
      .nullish(),
  })
  .nullish();

/**
 * Reads where people log in; undefined where nobody does. Of several providers Google comes before Microsoft before the
 * generic one, as with LiteLLM.
 *
 * @throws ConfigurationError where a value is wrong or missing.
 */
export function readLoginSettings(env: Environment, document: YamlDocument): LoginSettings | undefined {
  const newUser = readNewUser(document);
  const provider = google(env) ?? microsoft(env) ?? generic(env);
  if (provider === undefined) return undefined;
  const duration = text(env, "LITELLM_UI_SESSION_DURATION") ?? "24h";
  return {
    provider,
    baseUrl: readBaseUrl(env),
    adminId: text(env, "PROXY_ADMIN_ID"),
    emailDomains: list(env, "ALLOWED_EMAIL_DOMAINS")?.map((domain) => domain.toLowerCase()),
    sessionMs: readDuration("LITELLM_UI_SESSION_DURATION", duration),
    newUser,
  };
}

const oidcScope = "openid email profile";

function google(env: Environment): LoginProvider | undefined {
  const clientId = text(env, "GOOGLE_CLIENT_ID");
  if (clientId === undefined) return undefined;
  return {
    clientId,
    clientSecret: required(env, "GOOGLE_CLIENT_SECRET"),
    scope: oidcScope,
    server: { issuer: "https://accounts.google.com" },
    claims: { id: ["sub"], email: ["email"], name: ["name"], role: [] },
    emailsAreVerified: false,
  };
}

/** A directory of one's own states addresses that its admins have given; any other, what its user has written. */
function microsoft(env: Environment): LoginProvider | undefined {
  const clientId = text(env, "MICROSOFT_CLIENT_ID");
  if (clientId === undefined) return undefined;
  const tenant = text(env, "MICROSOFT_TENANT") ?? "common";
  return {
    clientId,
    clientSecret: required(env, "MICROSOFT_CLIENT_SECRET"),
    scope: oidcScope,
    server: { issuer: `https://login.microsoftonline.com/${encodeURIComponent(tenant)}/v2.0` },
    claims: { id: ["oid", "sub"], email: ["email", "preferred_username"], name: ["name"], role: [] },
    emailsAreVerified: !["common", "organizations", "consumers"].includes(tenant),
  };
}

function generic(env: Environment): LoginProvider | undefined {
  const clientId = text(env, "GENERIC_CLIENT_ID");
  if (clientId === undefined) return undefined;
  const secret = text(env, "GENERIC_CLIENT_SECRET");
  const server = genericServer(env);
  // LiteLLM's usual name may change hands at some providers; an issuer's subject does not.
  const usualId = "issuer" in server ? ["sub"] : ["preferred_username", "sub"];
  const named = (variable: string, ...usual: string[]) => {
    const name = text(env, variable);
    return name === undefined ? usual : [name];
  };
  return {
    clientId,
    clientSecret: secret === undefined ? undefined : new Secret(secret),
    scope: text(env, "GENERIC_SCOPE") ?? oidcScope,
    server,
    claims: {
      id: named("GENERIC_USER_ID_ATTRIBUTE", ...usualId),
      email: named("GENERIC_USER_EMAIL_ATTRIBUTE", "email"),
      name: named("GENERIC_USER_DISPLAY_NAME_ATTRIBUTE", "name"),
      role: named("GENERIC_USER_ROLE_ATTRIBUTE", "role"),
    },
    emailsAreVerified: false,
  };
}

function genericServer(env: Environment): LoginProvider["server"] {
  const issuer = text(env, "GENERIC_ISSUER");
  if (issuer !== undefined) return { issuer: readUrl("GENERIC_ISSUER", issuer).href };
  const endpoint = (variable: string) => {
    const value = text(env, variable);
    if (value === undefined) {
      throw new ConfigurationError(
        `${variable} must be set beside GENERIC_CLIENT_ID, or GENERIC_ISSUER for all of them`,
      );
    }
    return readUrl(variable, value).href;
  };
  return {
    authorization: endpoint("GENERIC_AUTHORIZATION_ENDPOINT"),
    token: endpoint("GENERIC_TOKEN_ENDPOINT"),
    userinfo: endpoint("GENERIC_USERINFO_ENDPOINT"),
  };
}

function required(env: Environment, variable: string): Secret {
  const value = text(env, variable);
  if (value === undefined) throw new ConfigurationError(`${variable} must be set beside the client's id`);
  return new Secret(value);
}

function readBaseUrl(env: Environment): string {
  const value = text(env, "PROXY_BASE_URL");
  if (value === undefined) {
    throw new ConfigurationError("PROXY_BASE_URL must be set where people log in: the gateway as browsers reach it");
  }
  const { origin, pathname, search } = readUrl("PROXY_BASE_URL", value);
  if (pathname !== "/" || search !== "") throw new ConfigurationError("PROXY_BASE_URL must have no path");
  return origin;
}

function readUrl(variable: string, value: string): URL {
  const url = URL.parse(value);
  if (url !== null && ["http:", "https:"].includes(url.protocol) && url.username === "" && url.hash === "") return url;
  throw new ConfigurationError(`${variable} must be an http:// or https:// address`);
}

function readDuration(variable: string, value: string): number {
  try {
    return addDuration(new Date(0), parseDuration(value)).getTime();
  } catch (error) {
    throw new ConfigurationError(`${variable}: ${errorText(error)}`);
  }
}

function readNewUser(document: YamlDocument): UserSettings {
  const where = "litellm_settings.default_internal_user_params";
  const given = readSection(document, ["litellm_settings"], sectionSchema)?.default_internal_user_params ?? {};
  const maxBudget = given.max_budget ?? undefined;
  const budgetDuration = given.budget_duration ?? undefined;
  if (budgetDuration !== undefined) readDuration(`${where}.budget_duration`, budgetDuration);
  const limits = create(LimitsSchema, {
    ...(maxBudget === undefined ? {} : { maxBudget: BigInt(Math.round(maxBudget * 1e9)) }),
    ...(budgetDuration === undefined ? {} : { budgetDuration }),
  });
  const userRole = given.user_role ?? undefined;
  try {
    return readUserSettings(create(UserSettingsSchema, { userRole, models: given.models ?? [], limits }));
  } catch (error) {
    throw new ConfigurationError(`${where}: ${errorText(error)}`);
  }
}
