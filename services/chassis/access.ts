import type { DescMethod } from "@bufbuild/protobuf";
import { getOption } from "@bufbuild/protobuf";
import { readCaller } from "#chassis/caller-header.ts";
import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { type AdminCaller, Role, RoleSchema } from "#gen/sluice/rest/v1/caller_pb.ts";
import { type HttpRule, http as httpOption } from "#gen/sluice/rest/v1/rest_pb.ts";

/** The declaration of an admin RPC. Undefined for any other: those are the mesh's own, and its token guards them. */
export function httpRuleOf(method: DescMethod): HttpRule | undefined {
  const rule = getOption(method, httpOption);
  return rule.paths.length > 0 ? rule : undefined;
}

/** Whether one of the caller's roles is declared. Somebody without a role may nothing. */
export function isAllowed(rule: HttpRule, roles: readonly Role[]): boolean {
  return roles.some((role) => role === Role.PROXY_ADMIN || (role !== Role.UNSPECIFIED && rule.roles.includes(role)));
}

/** The caller of an admin RPC. @throws PERMISSION_DENIED where there is none. */
export function requireCaller(headers: Headers): AdminCaller {
  const caller = readCaller(headers);
  if (caller === undefined) throw gatewayError(Reason.PERMISSION_DENIED, "This call needs a key.");
  return caller;
}

/** @throws PERMISSION_DENIED where the caller has none of the declared roles. */
export function checkAccess(rule: HttpRule, caller: AdminCaller): void {
  if (isAllowed(rule, caller.roles)) return;
  const wanted = [Role.PROXY_ADMIN, ...rule.roles].map((role) => RoleSchema.value[role]?.localName.toLowerCase());
  throw gatewayError(
    Reason.PERMISSION_DENIED,
    `Authentication Error, Only ${[...new Set(wanted)].join(", ")} can call this. Route=${rule.paths[0]}.`,
  );
}
