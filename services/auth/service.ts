import type { HostedService } from "#chassis/service.ts";
import type { AuthContext } from "./context.ts";
import { createAuthTelemetry } from "./events.ts";
import { createAnnouncer } from "./outbox.ts";
import { createRoutes } from "./routes/index.ts";

/** Starts auth. Changes that an earlier process committed and did not announce are announced now. */
export function createAuthService(context: AuthContext): HostedService {
  const telemetry = createAuthTelemetry(context.meter, context.log);
  const announcer = createAnnouncer(context, telemetry);
  void announcer.announce();
  return {
    name: "auth",
    implementations: createRoutes({ ...context, announcer, telemetry }),
    close: () => announcer.close(),
  };
}
