import { type Implementation, implement } from "#chassis/service.ts";
import { KeyService } from "#gen/sluice/auth/v1/key_service_pb.ts";
import type { RouteContext } from "../../context.ts";
import { blockKey, unblockKey } from "./block-key.ts";
import { bulkUpdateKeys } from "./bulk-update-keys.ts";
import { checkKeyHealth } from "./check-key-health.ts";
import { collectKey } from "./collect-key.ts";
import { deleteKeys } from "./delete-keys.ts";
import { generateKey } from "./generate-key.ts";
import { generateServiceAccountKey } from "./generate-service-account-key.ts";
import { getKeyInfo } from "./get-key-info.ts";
import { getKeyInfos } from "./get-key-infos.ts";
import { listKeyAliases } from "./list-key-aliases.ts";
import { listKeys } from "./list-keys.ts";
import { regenerateKey } from "./regenerate-key.ts";
import { resetKeySpend } from "./reset-key-spend.ts";
import { updateKey } from "./update-key.ts";

export function keyRoutes(context: RouteContext): Implementation {
  return implement(KeyService, {
    generateKey: generateKey(context),
    generateServiceAccountKey: generateServiceAccountKey(context),
    updateKey: updateKey(context),
    bulkUpdateKeys: bulkUpdateKeys(context),
    getKeyInfo: getKeyInfo(context),
    getKeyInfos: getKeyInfos(context),
    listKeys: listKeys(context),
    listKeyAliases: listKeyAliases(context),
    deleteKeys: deleteKeys(context),
    blockKey: blockKey(context),
    unblockKey: unblockKey(context),
    regenerateKey: regenerateKey(context),
    collectKey: collectKey(context),
    resetKeySpend: resetKeySpend(context),
    checkKeyHealth: checkKeyHealth(),
  });
}
