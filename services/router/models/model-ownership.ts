import type { JsonObject } from "@bufbuild/protobuf";
import { isProxyAdmin } from "#chassis/caller-header.ts";
import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { type AdminCaller, Role } from "#gen/sluice/rest/v1/caller_pb.ts";
import type { ProviderNames } from "../provider-table.ts";
import type { DeploymentConfig } from "../router-config.ts";

/** Whether a caller may make, change and delete a deployment: a proxy admin any, a team's admin those of the team. */
export function mayManageModel(caller: AdminCaller, teamId: string | null | undefined): boolean {
  if (isProxyAdmin(caller)) return true;
  return typeof teamId === "string" && teamId !== "" && caller.adminTeamIds.includes(teamId);
}

/** @throws PERMISSION_DENIED, in the same words whether the deployment exists or not. */
export function requireModelRight(allowed: boolean): void {
  if (allowed) return;
  throw gatewayError(Reason.PERMISSION_DENIED, "You may not do this with this model.", { param: "model_info.team_id" });
}

/** Whether a caller may see a deployment at all: one of a team is its members' and those' who see everything. */
export function maySeeModel(caller: AdminCaller, teamId: string | undefined): boolean {
  if (teamId === undefined || isProxyAdmin(caller) || caller.roles.includes(Role.PROXY_ADMIN_VIEWER)) return true;
  return caller.teamId === teamId || caller.teamIds.includes(teamId);
}

/**
 * A team's admin decides about an address, so nothing that is the gateway's may be sent there: neither its variables, nor
 * its credentials, nor those of the machine that it runs on.
 *
 * @throws PERMISSION_DENIED that says what is missing.
 */
export function requireOwnCredential(
  caller: AdminCaller,
  params: JsonObject,
  config: DeploymentConfig,
  names: ProviderNames,
): void {
  if (isProxyAdmin(caller)) return;
  if (JSON.stringify(params).includes("os.environ/")) throw denied("refer to variables of the gateway");
  if (config.credentialName !== undefined) throw denied("use a credential of the gateway");
  if (config.provider === undefined) throw denied("leave the provider to the caller");
  const row = names.byId(config.provider);
  // Where a key is not all that there is to it, the machine's own identity may come in.
  if ((row?.secrets ?? []).length > 0) throw denied(`use ${config.provider}, which takes more than a key`);
  const free = row?.alwaysServed === true && config.baseUrl === "";
  if (!free && !params.api_key) throw denied("go without an api_key of its own");
}

function denied(what: string) {
  return gatewayError(Reason.PERMISSION_DENIED, `A model that a team's admin adds may not ${what}.`, {
    param: "litellm_params",
  });
}
