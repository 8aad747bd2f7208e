import type { HealthReport } from "../context.ts";
import type { HttpCall } from "../http-call.ts";

/** How long to wait for a database that says nothing: probes are impatient. */
const probeMs = 1_000;

/** The process runs. */
export function showLiveness(call: HttpCall): void {
  call.sendJson(200, "I'm alive!");
}

/**
 * The process takes calls. A database that is away does not make it unready: keys and routes are served from memory, and
 * an orchestrator that drained the whole fleet for it would make things worse.
 */
export function showReadiness(health: () => Promise<HealthReport>, draining: () => boolean) {
  return async (call: HttpCall): Promise<void> => {
    const { ready, db } = await withinProbe(health);
    const serving = ready && !draining();
    call.sendJson(serving ? 200 : 503, { status: serving ? "healthy" : "unhealthy", db });
  };
}

async function withinProbe(health: () => Promise<HealthReport>): Promise<HealthReport> {
  const unknown: HealthReport = { ready: true, db: "unavailable" };
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<HealthReport>((resolve) => {
    timer = setTimeout(resolve, probeMs, unknown);
  });
  try {
    return await Promise.race([health(), late]);
  } catch {
    return unknown;
  } finally {
    clearTimeout(timer);
  }
}
