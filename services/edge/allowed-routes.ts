import { gatewayError } from "#chassis/errors.ts";
import type { Principal } from "#gen/sluice/auth/v1/principal_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";

/** What is called. */
export interface CalledRoute {
  readonly path: string;
  /** The path as the route has it, with its parameters in braces. */
  readonly routeName: string;
  /** LiteLLM's names of the groups that the route belongs to. */
  readonly groups: readonly string[] | undefined;
}

/**
 * Checks the routes that a key is narrowed to: each entry is a path, a prefix that ends with `*`, a path's template, or
 * the name of a group of routes. No entry means every route.
 *
 * @throws PERMISSION_DENIED where none of them covers the call.
 */
export function checkRoute({ allowedRoutes }: Principal, { path, routeName, groups }: CalledRoute): void {
  if (allowedRoutes.length === 0) return;
  const allowed = allowedRoutes.some(
    (entry) =>
      entry === path ||
      entry === routeName ||
      (entry.endsWith("*") && path.startsWith(entry.slice(0, -1))) ||
      groups?.includes(entry) === true,
  );
  if (allowed) return;
  throw gatewayError(
    Reason.PERMISSION_DENIED,
    `Virtual key is not allowed to call this route. Only allowed to call routes: [${allowedRoutes.join(", ")}]. Tried to call route: ${routeName}`,
    { param: "key" },
  );
}
