import { anchorHead, trimLog } from "#chassis/audit/anchor.ts";
import { parseDuration, subtractDuration } from "#chassis/duration.ts";
import type { RouteContext } from "./context.ts";

/** How many entries are removed in one transaction, during which no change is committed. */
const trimSize = 5000;

/**
 * Anchors the audit's chain now and then and at the end, and removes entries that are older than retention wants. Every
 * replica does; what one has done leaves nothing to the others.
 */
export function startAuditKeeping(context: RouteContext): { stop(): Promise<void> } {
  const { anchorMs } = context.config.audit;
  const state = { running: Promise.resolve(), stopping: false };
  const timer = setInterval(() => {
    state.running = state.running.then(() => keepAudit(context, () => state.stopping));
  }, anchorMs).unref();
  return {
    async stop() {
      clearInterval(timer);
      state.stopping = true;
      await state.running;
      if (await context.database.ping()) await keepAudit(context, () => true);
    },
  };
}

/** Anchors, then trims unless the process stops. Never rejects. */
export async function keepAudit(context: RouteContext, isStopping: () => boolean): Promise<void> {
  const { database, keyring, telemetry, config, clock } = context;
  try {
    const anchor = await anchorHead(database, keyring);
    if (anchor !== undefined) telemetry.auditAnchored(anchor.seq, anchor.hash);
    const { retention } = config.audit;
    if (retention === undefined) return;
    const before = subtractDuration(new Date(clock()), parseDuration(retention));
    while (!isStopping()) {
      const trimmed = await trimLog(database, keyring, before, trimSize);
      if (trimmed === undefined) return;
      telemetry.auditTrimmed(trimmed.rows, trimmed.upTo);
      if (trimmed.rows < trimSize) return;
    }
  } catch (error) {
    telemetry.auditKeepingFailed(error);
  }
}
