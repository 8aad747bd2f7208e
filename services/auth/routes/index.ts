import { type Implementation, implement } from "#chassis/service.ts";
import { AuthService } from "#gen/sluice/auth/v1/auth_service_pb.ts";
import { KeyService } from "#gen/sluice/auth/v1/key_service_pb.ts";
import type { AuthContext } from "../context.ts";
import type { AuthTelemetry } from "../events.ts";
import type { KeyAnnouncer } from "../outbox.ts";
import { authenticate } from "./authenticate.ts";
import { deleteKeys } from "./delete-keys.ts";
import { generateKey } from "./generate-key.ts";
import { getKeyInfo } from "./get-key-info.ts";

export function createRoutes(
  context: AuthContext,
  announcer: KeyAnnouncer,
  telemetry: AuthTelemetry,
): readonly Implementation[] {
  return [
    implement(AuthService, { authenticate: authenticate(context, telemetry) }),
    implement(KeyService, {
      generateKey: generateKey(context, announcer, telemetry),
      getKeyInfo: getKeyInfo(context),
      deleteKeys: deleteKeys(context, announcer, telemetry),
    }),
  ];
}
