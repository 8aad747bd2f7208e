/** What this file needs of a client of the `pg` driver; the package ships no types. */
export interface PgClient {
  query(...args: unknown[]): unknown;
  readonly connection: { readonly stream: { destroy(): void } };
}

/** What is needed of the driver's pool. */
export interface PgPool {
  on(event: "connect", listener: (client: PgClient) => void): unknown;
}

/**
 * Destroys a connection whose query ran into the driver's read timeout. The driver itself only forgets the query: the
 * connection would go back to the pool with a statement, possibly a BEGIN, still to be executed, and the next user's
 * writes would end up in a transaction that nobody commits.
 */
export function guardAgainstHungQueries(pool: PgPool): void {
  pool.on("connect", (client) => {
    const query = client.query.bind(client);
    client.query = (...args: unknown[]) => {
      const result = query(...args);
      if (result instanceof Promise) {
        result.catch((error: unknown) => {
          if (isReadTimeout(error)) client.connection.stream.destroy();
        });
      }
      return result;
    };
  });
}

function isReadTimeout(error: unknown): boolean {
  return error instanceof Error && error.message === "Query read timeout";
}
