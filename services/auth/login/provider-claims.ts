import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { userRoleNames } from "../roles.ts";
import { loginRefused } from "./pending-login.ts";
import type { LoginSettings } from "./settings.ts";

/** What a provider says of somebody, by the names of the standard's or its own claims. */
export type Claims = Readonly<Record<string, unknown>>;

/** Somebody who has logged in. */
export interface LoginIdentity {
  /** The id that the provider knows them by. */
  readonly ssoUserId: string;
  /** Only an address that the provider has verified: any other may be somebody else's. */
  readonly email: string | undefined;
  readonly name: string | undefined;
  /** The role that the provider gives them; undefined where it says nothing of it. */
  readonly role: string | undefined;
}

const maxLength = 256;
/** Control characters and halves of characters, which a database does not take. */
const unprintable = /[\p{Cc}\p{Cs}]/u;

/** @throws KEY_INVALID where the claims name nobody, PERMISSION_DENIED where the address is of no allowed domain. */
export function readIdentity(settings: LoginSettings, claims: Claims): LoginIdentity {
  const { claims: names, emailsAreVerified } = settings.provider;
  const ssoUserId = first(claims, names.id);
  if (ssoUserId === undefined) throw loginRefused("the identity provider does not say who it is");
  const stated = first(claims, names.email);
  const isVerified = emailsAreVerified || ["true", "1"].includes(String(claims.email_verified));
  const email = stated?.includes("@") === true && isVerified ? stated : undefined;
  requireDomain(settings, email);
  const role = settings.adminId === ssoUserId ? "proxy_admin" : roleOf(valuesAt(claims, names.role));
  return { ssoUserId, email, name: first(claims, names.name), role };
}

function requireDomain({ emailDomains }: LoginSettings, email: string | undefined): void {
  if (emailDomains === undefined) return;
  const domain = email?.slice(email.lastIndexOf("@") + 1).toLowerCase();
  if (domain !== undefined && emailDomains.includes(domain)) return;
  throw gatewayError(
    Reason.PERMISSION_DENIED,
    "You may not log in here: your identity provider states no verified e-mail address of a domain that is allowed.",
    { param: "email" },
  );
}

/** The first of the given roles that is one of ours: providers list roles of other applications too. */
function roleOf(given: readonly string[]): string | undefined {
  return given.find((role) => userRoleNames.includes(role));
}

function first(claims: Claims, names: readonly string[]): string | undefined {
  return names
    .flatMap((name) => valuesAt(claims, [name]))
    .find((value) => value !== "" && value.length <= maxLength && !unprintable.test(value));
}

function valuesAt(claims: Claims, names: readonly string[]): string[] {
  return names.flatMap((name) => {
    const value = claims[name] ?? name.split(".").reduce(member, claims);
    const all = Array.isArray(value) ? value : [value];
    return all.filter((each) => typeof each === "string" || typeof each === "number").map(String);
  });
}

function member(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  return Object.entries(value).find(([key]) => key === name)?.[1];
}
