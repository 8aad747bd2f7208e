import { create } from "@bufbuild/protobuf";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { gatewayError } from "#chassis/errors.ts";
import { GenerateKeyRequestSchema } from "#gen/sluice/auth/v1/key_service_pb.ts";
import type { CreateUserRequest } from "#gen/sluice/auth/v1/user_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";
import type { RouteContext } from "./context.ts";
import { readKeySettings } from "./key-input.ts";
import { makeKey, type NewKey, storeKey } from "./key-making.ts";
import { placeKey, requirePlace, requireTeamModels, requireThroughput } from "./key-place.ts";
import { fillRequest, requireWithinPolicy } from "./key-policy.ts";

/**
 * Makes a new user's first key: with the defaults and within the bounds of the configuration file, and beyond them without
 * limits of its own, as the user's hold for it. Undefined where none is wanted, or none is possible and it was not asked for.
 *
 * @throws INVALID_REQUEST that names the field.
 */
export async function makeFirstKey(
  context: RouteContext,
  em: SqlEntityManager,
  caller: AdminCaller,
  { keyAlias, teamId, duration, autoCreateKey }: CreateUserRequest,
  userId: string,
): Promise<NewKey | undefined> {
  if (autoCreateKey === false) return undefined;
  const { keyPolicy } = context.config;
  const request = create(GenerateKeyRequestSchema, { duration, settings: { userId, keyAlias, teamId } });
  fillRequest(keyPolicy, request);
  const settings = readKeySettings(request.settings);
  if (keyPolicy.teamRequired && settings.teamId === undefined) {
    if (autoCreateKey === undefined) return undefined;
    throw gatewayError(Reason.INVALID_REQUEST, "team_id is required: keys without a team are disabled.", {
      param: "team_id",
    });
  }
  const team = await placeKey(em, settings);
  await requirePlace(em, settings, team, undefined);
  requireWithinPolicy(keyPolicy, settings, request.duration);
  if (team !== undefined) {
    await requireTeamModels(em, settings, team);
    await requireThroughput(em, settings, team, "");
  }
  const made = makeKey(context, caller, settings, { duration: request.duration });
  await storeKey(context, em, made);
  return made;
}
