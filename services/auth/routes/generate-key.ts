import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { requireCaller } from "#chassis/access.ts";
import { isUniqueViolation } from "#chassis/database/database.ts";
import { gatewayError } from "#chassis/errors.ts";
import { GenerateKeyResponseSchema, type KeyService } from "#gen/sluice/auth/v1/key_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { change, createdBy } from "../change.ts";
import type { RouteContext } from "../context.ts";
import { VirtualKey, type VirtualKeyRow } from "../db/entities.ts";
import { keyColumns, readChosenKey, readExpiry, readKeySettings, rotationDue, routesOf } from "../key-input.ts";
import { mayManageKey, requireKeyRight } from "../key-rights.ts";
import { keyView } from "../key-view.ts";
import { scopeOf } from "../scope.ts";
import { nothingSpent } from "../scope-spend.ts";
import { hashKey, mintKey, nameOf } from "../secret-key.ts";

export function generateKey(context: RouteContext): ServiceImpl<typeof KeyService>["generateKey"] {
  const { config, clock, masterKeyHash } = context;
  return async (request, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    if ((request.spend ?? 0n) !== 0n) throw notBuilt("spend", "cannot be set: a key starts with 0");
    const settings = readKeySettings(request.settings);
    settings.allowedRoutes = [...routesOf(request.keyType), ...settings.allowedRoutes];
    const now = new Date(clock());
    const key = readChosenKey(request.key) ?? mintKey(config.keyBytes);
    const row: VirtualKeyRow = {
      ...keyColumns(settings),
      ...createdBy(caller, now),
      keyId: hashKey(key),
      keyName: nameOf(key),
      expiresAt: readExpiry(request.duration, now),
      rotationCount: 0,
      rotatedAt: null,
      rotateAt: rotationDue(settings, now),
    };
    requireKeyRight(mayManageKey(caller, row));
    if (row.keyId === masterKeyHash) throw keyExists();
    await change(context, caller, async (em) => {
      await em.insert(VirtualKey, row).catch((error: unknown) => {
        throw keyTaken(error, row.keyAlias ?? "");
      });
      return { result: undefined, changed: [{ scope: scopeOf.key(row.keyId), action: "created" }] };
    });
    return create(GenerateKeyResponseSchema, {
      key,
      duration: request.duration,
      tokenId: row.keyId,
      stored: keyView(row, nothingSpent),
    });
  };
}

/** What an insert or update of a key has failed with, in the words of a client. */
export function keyTaken(error: unknown, alias: string): unknown {
  if (isUniqueViolation(error, "virtual_key_pkey")) return keyExists();
  if (!isUniqueViolation(error, "virtual_key_alias")) return error;
  return gatewayError(Reason.CONFLICT, `Key with alias '${alias}' already exists. Aliases are unique among all keys.`, {
    param: "key_alias",
  });
}

function keyExists() {
  return gatewayError(Reason.CONFLICT, "This key exists already. Choose another one.", { param: "key" });
}

function notBuilt(field: string, what: string) {
  return gatewayError(Reason.INVALID_REQUEST, `${field} ${what}.`, { param: field });
}
