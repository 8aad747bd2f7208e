import { errorText, type Logger } from "../log.ts";
import type { DurableHandler, EventBus } from "./bus.ts";

type Handler = (message: never) => void;

/**
 * The bus of a mesh that is one process. A durable event is handled before `publishDurable` resolves, so durability is
 * the consumer's own; with no consumer there, it rejects.
 */
export function createInProcessBus(log: Logger): EventBus {
  const handlers = new Map<string, Set<Handler>>();
  const groups = new Map<string, Map<string, DurableHandler>>();

  return {
    connected: true,
    publish(schema, message) {
      for (const handler of handlers.get(schema.typeName) ?? []) {
        try {
          handler(message as never);
        } catch (error) {
          log.error("event handler failed", { event: schema.typeName, error: errorText(error) });
        }
      }
    },
    subscribe(schema, handler) {
      const own: Handler = handler;
      const set = handlers.get(schema.typeName) ?? new Set();
      handlers.set(schema.typeName, set.add(own));
      return async () => void set.delete(own);
    },
    async publishDurable(schema, messages) {
      const consumers = [...(groups.get(schema.typeName)?.values() ?? [])];
      if (consumers.length === 0) throw new Error(`nobody consumes ${schema.typeName}`);
      await Promise.all(consumers.map((handle) => handle(messages)));
    },
    async subscribeDurable(schema, group, handler) {
      const consumers = groups.get(schema.typeName) ?? new Map<string, DurableHandler>();
      if (consumers.has(group)) throw new Error(`group ${group} consumes ${schema.typeName} already`);
      const tracked = trackRunning(handler);
      groups.set(schema.typeName, consumers.set(group, tracked.handle));
      return async () => {
        consumers.delete(group);
        await tracked.idle();
      };
    },
    async close() {
      handlers.clear();
      groups.clear();
    },
  };
}

/** Remembers running batches, so that an unsubscriber can wait for them. */
function trackRunning(handler: DurableHandler) {
  const running = new Set<Promise<void>>();
  return {
    handle: async (batch: readonly Uint8Array[]) => {
      const run = handler(batch).finally(() => running.delete(run));
      running.add(run);
      await run;
    },
    idle: () => Promise.allSettled(running),
  };
}
