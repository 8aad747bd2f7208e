import type { HostedService } from "#chassis/service.ts";
import { startAuditKeeping } from "./audit-keeper.ts";
import type { AuthContext } from "./context.ts";
import { createAuthTelemetry } from "./events.ts";
import { startForgetting } from "./forgetting.ts";
import { startRotation } from "./key-rotation.ts";
import { watchMasterKeys } from "./master-key-watch.ts";
import { createMasterKeys } from "./master-keys.ts";
import { createAnnouncer } from "./outbox.ts";
import { createRoutes } from "./routes/index.ts";

/** Starts auth. Changes that an earlier process committed and did not announce are announced now. */
export function createAuthService(context: AuthContext): HostedService {
  const telemetry = createAuthTelemetry(context.meter, context.log);
  const announcer = createAnnouncer(context, telemetry);
  void announcer.announce();
  const masterKeys = createMasterKeys(context.database, context.masterKey);
  const routeContext = { ...context, masterKeys, announcer, telemetry };
  const rotation = startRotation(routeContext);
  const watch = watchMasterKeys(routeContext, context.events);
  const auditKeeping = startAuditKeeping(routeContext);
  const forgetting = startForgetting(routeContext);
  return {
    name: "auth",
    implementations: createRoutes(routeContext),
    async close() {
      await watch.stop();
      await Promise.all([rotation.stop(), forgetting.stop()]);
      await announcer.close();
      await auditKeeping.stop();
    },
  };
}
