import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { LockMode } from "@mikro-orm/core";
import { requireCaller } from "#chassis/access.ts";
import { gatewayError } from "#chassis/errors.ts";
import { KeySettingsSchema } from "#gen/sluice/auth/v1/key_pb.ts";
import { type KeyService, UpdateKeyResponseSchema } from "#gen/sluice/auth/v1/key_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { change, touch } from "../change.ts";
import type { RouteContext } from "../context.ts";
import { VirtualKey } from "../db/entities.ts";
import { keyColumns, readExpiry, readKeySettings, rotationDue } from "../key-input.ts";
import { keyTaken } from "../key-making.ts";
import { mayManageKey, requireKeyRight } from "../key-rights.ts";
import { keyView } from "../key-view.ts";
import { scopeOf } from "../scope.ts";
import { spentByOne } from "../scope-spend.ts";
import { keyIdOf } from "../secret-key.ts";
import { patch, pathsUnder, readDoc } from "../stored-doc.ts";

export function updateKey(context: RouteContext): ServiceImpl<typeof KeyService>["updateKey"] {
  return async (request, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const keyId = keyIdOf(request.key);
    const now = new Date(context.clock());
    const updated = await change(context, caller, async (em) => {
      const row = await em.findOne(VirtualKey, { keyId }, { lockMode: LockMode.PESSIMISTIC_WRITE });
      requireKeyRight(mayManageKey(caller, row ?? { keyId }));
      if (row === null) throw gatewayError(Reason.NOT_FOUND, "Key not found in database.", { param: "key" });
      const paths = pathsUnder("settings", request.updateMask?.paths);
      const settings = readKeySettings(
        patch(KeySettingsSchema, readDoc(KeySettingsSchema, row.doc), request.settings, paths),
      );
      const columns = keyColumns(settings);
      requireKeyRight(mayManageKey(caller, { keyId, ...columns }));
      em.assign(row, columns);
      if (request.duration !== undefined) row.expiresAt = readExpiry(request.duration, now);
      row.rotateAt = rotationDue(settings, row.rotatedAt ?? row.createdAt);
      touch(row, caller, now);
      await em.flush().catch((error: unknown) => {
        throw keyTaken(error, settings.keyAlias ?? "");
      });
      return { result: row, changed: [{ scope: scopeOf.key(keyId), action: "updated" }] };
    });
    const spend = await spentByOne(context, scopeOf.key(keyId));
    return create(UpdateKeyResponseSchema, { key: request.key, stored: keyView(updated, spend) });
  };
}
