import type { EventBus } from "#chassis/events/bus.ts";
import { PrincipalChangedSchema } from "#gen/sluice/auth/v1/principal_pb.ts";
import type { RouteContext } from "./context.ts";
import { forgetExpired } from "./keyring.ts";

const intervalMs = 60_000;

/**
 * Reads what other processes have made of the master key: when they say that it has changed, and every minute, for events
 * that were lost. Wrappings whose time is over are emptied then.
 */
export function watchMasterKeys(context: RouteContext, events: EventBus): { stop(): Promise<void> } {
  const { masterKeys, database, telemetry, clock } = context;
  const state: { running: Promise<void> } = { running: Promise.resolve() };
  const then = (work: () => Promise<void>) => {
    state.running = state.running.then(work).catch(telemetry.masterKeysUnread);
  };
  const unsubscribe = events.subscribe(PrincipalChangedSchema, ({ keyIds }) => {
    const { current } = masterKeys;
    if (current !== undefined && keyIds.includes(current)) then(() => masterKeys.refresh());
  });
  const timer = setInterval(() => {
    then(async () => {
      await masterKeys.refresh();
      await forgetExpired(database.em(), new Date(clock()));
    });
  }, intervalMs).unref();
  return {
    async stop() {
      clearInterval(timer);
      await unsubscribe();
      await state.running;
    },
  };
}
