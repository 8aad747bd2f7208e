/** Answers which headers let a browser of an origin read an answer. */
export type CorsHeaders = (origin: string | undefined) => readonly string[];

const none: readonly string[] = [];
const preflight: readonly string[] = [
  "access-control-allow-methods",
  "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT",
  "access-control-max-age",
  "600",
];

/**
 * With `*` among the origins every page may read every answer: keys travel in headers that pages set themselves, so that
 * nothing is given away that the page does not have. Cookies are for listed origins only.
 */
export function createCors(origins: readonly string[], credentials: boolean): CorsHeaders {
  const exposed = ["access-control-expose-headers", "*"];
  if (origins.includes("*")) {
    const any = ["access-control-allow-origin", "*", ...exposed];
    return (origin) => (origin === undefined ? none : any);
  }
  const listed = new Map(
    origins.map((origin) => [
      origin,
      [
        "access-control-allow-origin",
        origin,
        "vary",
        "origin",
        ...(credentials ? ["access-control-allow-credentials", "true"] : []),
        ...exposed,
      ],
    ]),
  );
  return (origin) => (origin === undefined ? none : (listed.get(origin) ?? none));
}

/** What a browser asks before the call itself. Any header may be sent: clients invent them freely. */
export function preflightHeaders(requestedHeaders: string | undefined): readonly string[] {
  return [...preflight, "access-control-allow-headers", requestedHeaders ?? "*"];
}
