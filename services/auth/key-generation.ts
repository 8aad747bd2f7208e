import { clone, create } from "@bufbuild/protobuf";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { isProxyAdmin } from "#chassis/caller-header.ts";
import { addDuration, parseDuration } from "#chassis/duration.ts";
import { gatewayError } from "#chassis/errors.ts";
import type { KeySettings } from "#gen/sluice/auth/v1/key_pb.ts";
import {
  type GenerateKeyRequest,
  GenerateKeyRequestSchema,
  type GenerateKeyResponse,
  GenerateKeyResponseSchema,
} from "#gen/sluice/auth/v1/key_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";
import { change } from "./change.ts";
import type { RouteContext } from "./context.ts";
import { OrganizationMember } from "./db/entities.ts";
import { readChosenKey, readKeySettings, routesOf } from "./key-input.ts";
import { makeKey, type NewKey, storeKey } from "./key-making.ts";
import { type KeyTeam, placeKey, requirePlace, requireTeamModels, requireThroughput } from "./key-place.ts";
import { fillRequest, requireMaker, requireWithinPolicy } from "./key-policy.ts";
import {
  isKeyAdmin,
  type KeyAction,
  mayAdministerKey,
  mayManageKey,
  permittedTeams,
  requireKeyRight,
} from "./key-rights.ts";
import { keyView } from "./key-view.ts";
import { scopeOf } from "./scope.ts";
import { nothingSpent, setSpend } from "./scope-spend.ts";

/** Makes a key for a caller, in one transaction. `action` is what a plain member of the key's team needs to be let do. */
export async function generateKeyFor(
  context: RouteContext,
  caller: AdminCaller,
  request: GenerateKeyRequest,
  action: KeyAction,
): Promise<GenerateKeyResponse> {
  const given = request.settings?.organizationId || undefined;
  const asked = clone(GenerateKeyRequestSchema, request);
  fillRequest(context.config.keyPolicy, request);
  const settings = readKeySettings(request.settings);
  settings.allowedRoutes = [...routesOf(request.keyType), ...settings.allowedRoutes];
  const key = readChosenKey(request.key);
  const made = await change(context, caller, async (em) => {
    const team = await placeKey(em, settings);
    const isAdmin = isKeyAdmin(caller, { keyId: "", ...settings });
    if (!isAdmin && action === "generate" && settings.userId === undefined && caller.userId !== "") {
      settings.userId = caller.userId;
    }
    await requireRight(em, caller, settings, action, request.spend ?? 0n);
    requireMaker(context.config.keyPolicy, caller, asked, isAdmin);
    await requirePlace(em, settings, team, given);
    requireWithinPolicy(context.config.keyPolicy, settings, request.duration);
    if (team !== undefined) await requireTeamModels(em, settings, team);
    if (team !== undefined) await requireThroughput(em, settings, team, "");
    const duration = memberLifetime(team, isAdmin, request.duration);
    const fresh = makeKey(context, caller, settings, { key, duration });
    await storeKey(context, em, fresh);
    return { result: fresh, changed: [{ scope: scopeOf.key(fresh.row.keyId), action: "created" }] };
  });
  if (request.spend) await setSpend(context, caller, scopeOf.key(made.row.keyId), request.spend);
  return answer(made, request);
}

/**
 * Whoever may make the key; a plain member of a team, only keys of its own or of nobody; a first spend, admins only. A key
 * counts against its organization and its project, so a user puts none of its own into somebody else's.
 */
async function requireRight(
  em: SqlEntityManager,
  caller: AdminCaller,
  settings: KeySettings,
  action: KeyAction,
  spend: bigint,
): Promise<void> {
  const owners = { keyId: "", ...settings };
  if (isProxyAdmin(caller) || isKeyAdmin(caller, owners)) return;
  const permitted = await permittedTeams(em, caller, action, [settings.teamId]);
  requireKeyRight(mayManageKey(caller, owners, permitted));
  requireKeyRight(settings.userId === undefined || settings.userId === caller.userId);
  requireKeyRight(spend === 0n || mayAdministerKey(caller, owners, permitted));
  if (settings.teamId !== undefined) return;
  requireKeyRight(settings.projectId === undefined);
  const { organizationId } = settings;
  if (organizationId === undefined) return;
  requireKeyRight((await em.count(OrganizationMember, { organizationId, userId: caller.userId })) > 0);
}

/** @throws INVALID_REQUEST where a plain member asks for a longer life than the team lets members' keys have. */
function memberLifetime(team: KeyTeam | undefined, isAdmin: boolean, duration: string | undefined): string | undefined {
  const most = team?.settings.teamMemberKeyDuration;
  if (isAdmin || most === undefined || most === "") return duration;
  if (duration === undefined || duration === "") return most;
  const from = new Date(0);
  const endOf = (text: string) => addDuration(from, parseDuration(text));
  if (duration !== "-1" && endOf(duration) <= endOf(most)) return duration;
  throw gatewayError(Reason.INVALID_REQUEST, `duration is above ${most}, the team's team_member_key_duration.`, {
    param: "duration",
  });
}

function answer({ key, row }: NewKey, { duration, spend }: GenerateKeyRequest): GenerateKeyResponse {
  const stored = keyView(row, { ...nothingSpent, spent: spend ?? 0n });
  return create(GenerateKeyResponseSchema, { key, duration, tokenId: row.keyId, stored });
}
