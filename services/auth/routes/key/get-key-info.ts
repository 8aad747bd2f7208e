import type { ServiceImpl } from "@connectrpc/connect";
import { requireCaller } from "#chassis/access.ts";
import { isProxyAdmin } from "#chassis/caller-header.ts";
import { databaseError } from "#chassis/database/database.ts";
import { gatewayError } from "#chassis/errors.ts";
import type { KeyService } from "#gen/sluice/auth/v1/key_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";
import type { RouteContext } from "../../context.ts";
import { VirtualKey } from "../../db/entities.ts";
import { maySeeKey, permittedTeams, requireKeyRight } from "../../key-rights.ts";
import { keyView } from "../../key-view.ts";
import { scopeOf } from "../../scope.ts";
import { spentByOne } from "../../scope-spend.ts";
import { keyIdOf } from "../../secret-key.ts";
import { tokenRow } from "../../tokens/token-row.ts";

export function getKeyInfo(context: RouteContext): ServiceImpl<typeof KeyService>["getKeyInfo"] {
  return async ({ key }, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    if (key === "" && caller.master) {
      throw gatewayError(Reason.INVALID_REQUEST, "Name the key: /key/info?key=sk-... or its hash.", { param: "key" });
    }
    const keyId = key === "" ? caller.keyId : keyIdOf(key);
    const { row, permitted } = await findKey(caller, keyId);
    // Who is let in without a key has the token of an identity provider.
    const shown = row ?? (key === "" ? tokenRow(caller) : null);
    requireKeyRight(maySeeKey(caller, shown ?? { keyId: isProxyAdmin(caller) ? keyId : "" }, permitted));
    if (shown === null) throw gatewayError(Reason.NOT_FOUND, "Key not found in database.", { param: "key" });
    const spend = await spentByOne(context, scopeOf.key(keyId));
    return { key: key === "" ? keyId : key, info: keyView(shown, spend) };
  };

  async function findKey(caller: AdminCaller, keyId: string) {
    try {
      const em = context.database.em();
      const row = await em.findOne(VirtualKey, { keyId });
      return { row, permitted: await permittedTeams(em, caller, "info", [row?.teamId]) };
    } catch (error) {
      throw databaseError(error);
    }
  }
}
