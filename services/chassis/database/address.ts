import type { Secret } from "#chassis/secret.ts";

/** A database's address, read. */
export interface DatabaseAddress {
  readonly name: string;
  /** The address as the driver is to read it. */
  readonly connectionString: string;
}

/**
 * Reads `postgresql://user:password@host:port/database`. Its `sslmode` is PostgreSQL's own, https://www.postgresql.org/docs/current/libpq-ssl.html:
 * `require` encrypts and asks for no authority, where the driver by itself would take it for `verify-full`. `allow` is without TLS.
 */
export function readDatabaseAddress(address: Secret): DatabaseAddress {
  const url = URL.parse(address.reveal());
  if (url === null || !/^postgres(ql)?:$/.test(url.protocol) || url.pathname.length < 2) {
    throw new Error("the database address must have the form postgresql://user:password@host:port/database");
  }
  const { searchParams: options } = url;
  const mode = options.get("sslmode");
  if (mode === "allow") options.set("sslmode", "disable");
  else if (mode !== null && mode !== "no-verify") options.set("uselibpqcompat", "true");
  return {
    name: decodeURIComponent(url.pathname.slice(1)),
    connectionString: mode === null ? address.reveal() : url.href,
  };
}
