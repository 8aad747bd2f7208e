import type { ServiceImpl } from "@connectrpc/connect";
import type { KeyService } from "#gen/sluice/auth/v1/key_service_pb.ts";
import type { RouteContext } from "../../context.ts";
import { blockKey, unblockKey } from "./block-key.ts";
import { bulkUpdateKeys } from "./bulk-update-keys.ts";
import { checkKeyHealth } from "./check-key-health.ts";
import { collectKey } from "./collect-key.ts";
import { generateServiceAccountKey } from "./generate-service-account-key.ts";
import { getKeyInfos } from "./get-key-infos.ts";
import { listKeyAliases } from "./list-key-aliases.ts";
import { listKeys } from "./list-keys.ts";
import { regenerateKey } from "./regenerate-key.ts";
import { resetKeySpend } from "./reset-key-spend.ts";

type Above = "generateKey" | "updateKey" | "getKeyInfo" | "deleteKeys";

/** What KeyService does beside making, changing, showing and deleting one key. */
export function keyRoutes(context: RouteContext): Omit<ServiceImpl<typeof KeyService>, Above> {
  return {
    generateServiceAccountKey: generateServiceAccountKey(context),
    bulkUpdateKeys: bulkUpdateKeys(context),
    getKeyInfos: getKeyInfos(context),
    listKeys: listKeys(context),
    listKeyAliases: listKeyAliases(context),
    blockKey: blockKey(context),
    unblockKey: unblockKey(context),
    regenerateKey: regenerateKey(context),
    collectKey: collectKey(context),
    resetKeySpend: resetKeySpend(context),
    checkKeyHealth: checkKeyHealth(),
  };
}
