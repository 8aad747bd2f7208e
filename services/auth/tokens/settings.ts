import type { Secret } from "#chassis/secret.ts";
import type { JwtAuth, RolePermissions } from "./config-schema.ts";

/** Which tokens of others are accepted, and what they stand for. */
export interface TokenSettings {
  /** By issuer; at most one of them takes the tokens of whoever is not named, and it is the last. None: no JWTs. */
  readonly jwt: readonly JwtSettings[];
  readonly introspection: IntrospectionSettings | undefined;
  /** Where opaque tokens are shown to get the claims of their owners. */
  readonly userInfo: UserInfoSettings | undefined;
}

export const noTokens: TokenSettings = { jwt: [], introspection: undefined, userInfo: undefined };

export interface UserInfoSettings {
  readonly question: IntrospectionSettings;
  /** What the claims mean. */
  readonly meaning: Pick<JwtSettings, "claims" | "rolePermissions" | "toleranceSeconds">;
}

/** Where keys of an issuer are: a JWKS, or a document of OpenID Connect Discovery that names one. */
export interface KeyAddress {
  readonly url: string;
  /** Whom the address belongs to, where that is known: only tokens of this issuer are checked with its keys. */
  readonly issuer: string | undefined;
}

export interface JwtSettings {
  readonly addresses: readonly KeyAddress[];
  /** What `iss` may be; empty where it may be anything. */
  readonly issuers: readonly string[];
  /** What `aud` must hold one of; empty where it may be anything. */
  readonly audiences: readonly string[];
  /** How long keys are used without a question, in milliseconds. */
  readonly keyTtlMs: number;
  /** How much longer keys are used while the issuer does not answer. */
  readonly keyStaleMs: number;
  /** How far clocks may be apart, in seconds. */
  readonly toleranceSeconds: number;
  readonly claims: JwtAuth;
  readonly rolePermissions: RolePermissions;
}

export interface IntrospectionSettings {
  readonly url: string;
  /** With these, the question is RFC 7662's; without, the token itself is sent as the bearer, as LiteLLM does. */
  readonly client: { readonly id: string; readonly secret: Secret } | undefined;
  readonly userIdField: string;
  readonly userRoleField: string;
  readonly teamIdField: string;
  /** How long an answer is kept, in milliseconds. */
  readonly keptMs: number;
}
