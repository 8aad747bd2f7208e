/** Whom a verified token names, before anybody has looked whether they exist. */
export interface Identity {
  /** In place of a key's hash: the same for every token of a subject of an issuer. 64 hexadecimal digits. */
  readonly keyId: string;
  readonly expiresAt: Date | undefined;
  /** Whether it is an administrator of the whole gateway, whoever its user is. */
  readonly isAdmin: boolean;
  readonly user: UserClaim | undefined;
  readonly teamIds: readonly string[];
  readonly teamAliases: readonly string[];
  /** The one team of the token, or its default: without it the token is no good, where teams must exist. */
  readonly requiredTeamId: string | undefined;
  readonly organization: { readonly id: string | undefined; readonly alias: string | undefined } | undefined;
  /** The customer; empty where it names none. */
  readonly endUser: string;
  /** Empty means every route. */
  readonly allowedRoutes: readonly string[];
  /** What roles and scopes say on models, beside what its user and team may use. */
  readonly rights: readonly { readonly level: string; readonly models: readonly string[] }[];
  readonly rules: IdentityRules;
}

export interface UserClaim {
  readonly id: string;
  /** An address that the issuer does not call unverified. */
  readonly email: string | undefined;
  /** LiteLLM's name of the role that the token gives it; undefined where it gives none. */
  readonly role: string | undefined;
}

/** What to do where somebody that a token names is not there, or not as the token says. */
export interface IdentityRules {
  /** Whether a user and a team that nobody knows are refused. */
  readonly mustExist: boolean;
  readonly makesUser: boolean;
  readonly makesTeam: boolean;
  /** Whether the user joins the teams of its token. */
  readonly joinsTeams: boolean;
  /** Whether the role of the user is made what the token says. */
  readonly syncsUser: boolean;
  /** The same for its teams: where the token says nothing of teams, nothing is taken away. */
  readonly syncsTeams: boolean;
  /** Whether a token without a team may use no model. */
  readonly needsTeam: boolean;
}

export const lenientRules: IdentityRules = {
  mustExist: false,
  makesUser: false,
  makesTeam: false,
  joinsTeams: false,
  syncsUser: false,
  syncsTeams: false,
  needsTeam: false,
};

/**
 * What a token without a user may call. LiteLLM has OpenAI's dialect alone here; Claude Code with a token of a team would
 * need a setting.
 */
export const usualTeamRoutes: readonly string[] = ["llm_api_routes", "info_routes"];

/** What a token of an administrator may call: LiteLLM's default. */
export const usualAdminRoutes: readonly string[] = [
  "management_routes",
  "spend_tracking_routes",
  "global_spend_tracking_routes",
  "info_routes",
];

/** A name that no model has: a list with it alone allows none. */
export const noModels: readonly string[] = ["no-default-models"];
