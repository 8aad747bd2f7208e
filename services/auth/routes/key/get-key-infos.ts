import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { requireCaller } from "#chassis/access.ts";
import { databaseError } from "#chassis/database/database.ts";
import { gatewayError } from "#chassis/errors.ts";
import { GetKeyInfosResponseSchema, type KeyService } from "#gen/sluice/auth/v1/key_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";
import type { RouteContext } from "../../context.ts";
import { VirtualKey, type VirtualKeyRow } from "../../db/entities.ts";
import { maySeeKey, permittedTeams } from "../../key-rights.ts";
import { keyViews } from "../../key-view.ts";
import { keyIdOf } from "../../secret-key.ts";

export function getKeyInfos(context: RouteContext): ServiceImpl<typeof KeyService>["getKeyInfos"] {
  return async ({ keys }, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    if (keys.length === 0) throw gatewayError(Reason.INVALID_REQUEST, "Name the keys.", { param: "keys" });
    const rows = await findKeys(caller, [...new Set(keys.map(keyIdOf))]);
    if (rows.length === 0) throw gatewayError(Reason.NOT_FOUND, "No such key.", { param: "keys" });
    return create(GetKeyInfosResponseSchema, { key: keys, info: await keyViews(context, rows) });
  };

  async function findKeys(caller: AdminCaller, keyIds: readonly string[]): Promise<VirtualKeyRow[]> {
    try {
      const em = context.database.em();
      const found = new Map(
        (await em.find(VirtualKey, { keyId: { $in: [...keyIds] } })).map((row) => [row.keyId, row]),
      );
      const teamIds = [...found.values()].map(({ teamId }) => teamId);
      const permitted = await permittedTeams(em, caller, "info", teamIds);
      return keyIds.flatMap((keyId) => {
        const row = found.get(keyId);
        return row !== undefined && maySeeKey(caller, row, permitted) ? [row] : [];
      });
    } catch (error) {
      throw databaseError(error);
    }
  }
}
