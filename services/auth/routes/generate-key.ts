import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { requireCaller } from "#chassis/access.ts";
import { gatewayError } from "#chassis/errors.ts";
import { GenerateKeyResponseSchema, type KeyService } from "#gen/sluice/auth/v1/key_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { change } from "../change.ts";
import type { RouteContext } from "../context.ts";
import { readChosenKey, readKeySettings, routesOf } from "../key-input.ts";
import { makeKey, storeKey } from "../key-making.ts";
import { mayManageKey, requireKeyRight } from "../key-rights.ts";
import { keyView } from "../key-view.ts";
import { scopeOf } from "../scope.ts";
import { nothingSpent } from "../scope-spend.ts";

export function generateKey(context: RouteContext): ServiceImpl<typeof KeyService>["generateKey"] {
  return async (request, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    if ((request.spend ?? 0n) !== 0n) {
      throw gatewayError(Reason.INVALID_REQUEST, "spend cannot be set: a key starts with 0.", { param: "spend" });
    }
    const settings = readKeySettings(request.settings);
    settings.allowedRoutes = [...routesOf(request.keyType), ...settings.allowedRoutes];
    const { duration } = request;
    const made = makeKey(context, caller, settings, { key: readChosenKey(request.key), duration });
    const { key, row } = made;
    requireKeyRight(mayManageKey(caller, row));
    await change(context, caller, async (em) => {
      await storeKey(context, em, made);
      return { result: undefined, changed: [{ scope: scopeOf.key(row.keyId), action: "created" }] };
    });
    const stored = keyView(row, nothingSpent);
    return create(GenerateKeyResponseSchema, { key, duration, tokenId: row.keyId, stored });
  };
}
