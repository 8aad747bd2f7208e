import type { HostedService } from "#chassis/service.ts";
import type { AuthContext } from "./context.ts";
import { createAuthTelemetry } from "./events.ts";
import { startForgetting } from "./forgetting.ts";
import { startRotation } from "./key-rotation.ts";
import { createAnnouncer } from "./outbox.ts";
import { createRoutes } from "./routes/index.ts";

/** Starts auth. Changes that an earlier process committed and did not announce are announced now. */
export function createAuthService(context: AuthContext): HostedService {
  const telemetry = createAuthTelemetry(context.meter, context.log);
  const announcer = createAnnouncer(context, telemetry);
  void announcer.announce();
  const routeContext = { ...context, announcer, telemetry };
  const rotation = startRotation(routeContext);
  const forgetting = startForgetting(routeContext);
  return {
    name: "auth",
    implementations: createRoutes(routeContext),
    async close() {
      await Promise.all([rotation.stop(), forgetting.stop()]);
      await announcer.close();
    },
  };
}
