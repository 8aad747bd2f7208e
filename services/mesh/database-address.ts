import { isIPv6 } from "node:net";
import { type Environment, text } from "#chassis/environment.ts";

/**
 * The address that LiteLLM's DATABASE_HOST, DATABASE_PORT, DATABASE_NAME, DATABASE_USERNAME (or DATABASE_USER) and
 * DATABASE_PASSWORD make up together; undefined where the host, the name or the user is missing.
 */
export function composeDatabaseUrl(env: Environment): string | undefined {
  const host = text(env, "DATABASE_HOST");
  const name = text(env, "DATABASE_NAME");
  const user = text(env, "DATABASE_USERNAME", "DATABASE_USER");
  if (host === undefined || name === undefined || user === undefined) return undefined;
  const password = text(env, "DATABASE_PASSWORD");
  const port = text(env, "DATABASE_PORT");
  const where = `${isIPv6(host) ? `[${host}]` : host}${port === undefined ? "" : `:${port}`}`;
  const who = [user, ...(password === undefined ? [] : [password])].map(encodeURIComponent).join(":");
  return `postgresql://${who}@${where}/${encodeURIComponent(name)}`;
}
