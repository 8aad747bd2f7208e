import { badToken } from "./refusal.ts";

/** What a token says, or what its server says of it. Nothing of it is trusted to have a shape. */
export type Claims = Readonly<Record<string, unknown>>;

const maxIdLength = 256;
/** More names than this a claim does not hold. */
const maxNames = 1_000;

/**
 * The claim of a name. A name with dots is a path: `resource_access.my-client.roles`. A claim that has the whole name, as
 * URLs have, comes first, and a dot behind a backslash is part of a name.
 */
export function findClaim(claims: Claims, name: string | null | undefined): unknown {
  if (!name) return undefined;
  if (Object.hasOwn(claims, name)) return claims[name] ?? undefined;
  let at: unknown = claims;
  for (const step of name.split(/(?<!\\)\./).map((part) => part.replaceAll("\\.", "."))) {
    if (typeof at !== "object" || at === null || !Object.hasOwn(at, step)) return undefined;
    at = Reflect.get(at, step);
  }
  return at ?? undefined;
}

/** An id in a claim; undefined where there is none. @throws KEY_INVALID where it cannot be one. */
export function readId(claims: Claims, name: string | null | undefined): string | undefined {
  const value = findClaim(claims, name);
  return value === undefined || value === "" ? undefined : toId(value, name ?? "");
}

/** The ids in a claim: a list, or one. @throws KEY_INVALID where one of them cannot be one. */
export function readIds(claims: Claims, name: string | null | undefined): string[] {
  const value = findClaim(claims, name);
  const found = value === undefined || value === "" ? [] : Array.isArray(value) ? value : [value];
  if (found.length > maxNames) throw badToken(`its claim ${name} holds more than ${maxNames} entries`);
  return [...new Set(found.map((each) => toId(each, name ?? "")))];
}

/** The words in a claim, scopes or roles: a list, or a text with spaces in between. */
export function readWords(claims: Claims, name: string | null | undefined): string[] {
  const value = findClaim(claims, name);
  const words = typeof value === "string" ? value.split(/\s+/) : Array.isArray(value) ? value : [];
  return words.slice(0, maxNames).filter((word): word is string => typeof word === "string" && word !== "");
}

/** The scopes of a token: `scope`, or `scp` as Microsoft and Okta have it. */
export function readScopes(claims: Claims): string[] {
  return [...readWords(claims, "scope"), ...readWords(claims, "scp")];
}

/** What the database can keep, and a person can read. */
function toId(value: unknown, name: string): string {
  const id = typeof value === "number" && Number.isSafeInteger(value) ? String(value) : value;
  if (typeof id === "string" && id !== "" && id.length <= maxIdLength && id.isWellFormed() && !/\p{Cc}/u.test(id))
    return id;
  throw badToken(`its claim ${name} holds no id`);
}

/**
 * When a token ends, by `exp` and that many seconds more for clocks that differ; undefined where it says nothing. What
 * lies beyond the calendar ends with it.
 */
export function readEnd({ exp }: Claims, toleranceSeconds: number): Date | undefined {
  if (typeof exp !== "number" || Number.isNaN(exp)) return undefined;
  return new Date(Math.min((exp + toleranceSeconds) * 1000, lastMoment));
}

const lastMoment = Date.UTC(9999, 11, 31);
