import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";

/** Every path that plain members of a team may be allowed to call for the team's keys, in LiteLLM's spelling. */
export const availablePermissions: readonly string[] = [
  "/key/generate",
  "/key/update",
  "/key/delete",
  "/key/regenerate",
  "/key/service-account/generate",
  "/key/{key_id}/regenerate",
  "/key/block",
  "/key/unblock",
  "/key/bulk_update",
  "/key/{key_id}/reset_spend",
  "/key/info",
  "/key/health",
  "/key/list",
  "/key/aliases",
];

/** What plain members may call where the team says nothing. */
export const usualPermissions: readonly string[] = ["/key/info", "/key/health", "/key/list"];

/** @throws INVALID_REQUEST where a path is none that could be allowed. */
export function readPermissions(permissions: readonly string[]): string[] {
  const unknown = permissions.find((path) => !availablePermissions.includes(path));
  if (unknown === undefined) return [...new Set(permissions)];
  throw gatewayError(
    Reason.INVALID_REQUEST,
    `team_member_permissions: '${unknown}' is none of ${availablePermissions.join(", ")}.`,
    { param: "team_member_permissions" },
  );
}
