import { create } from "@bufbuild/protobuf";
import type { EventBus } from "#chassis/events/bus.ts";
import { LeaseRecalledSchema } from "#gen/sluice/accounting/v1/quota_service_pb.ts";
import { SpendChangedSchema } from "#gen/sluice/accounting/v1/spend_pb.ts";

/** Broadcasts that many events ask for and few are sent of. */
export interface Notices {
  /** Asks routers other than the owner for what they do not use of a scope. */
  recall(scope: string, owner: string): void;
  spendChanged(scopes: Iterable<string>): void;
  /** Sends what waits. */
  close(): void;
}

/** Bounds the memory of the throttle: beyond it, recalls are merely sent more often. */
const maxRemembered = 10_000;

export function createNotices(events: EventBus, clock: () => number, intervalMs: number): Notices {
  const recalledAt = new Map<string, number>();
  const changed = new Set<string>();
  const timers = new Set<NodeJS.Timeout>();

  function flush(): void {
    for (const timer of timers) clearTimeout(timer);
    timers.clear();
    if (changed.size === 0) return;
    events.publish(SpendChangedSchema, create(SpendChangedSchema, { scopes: [...changed] }));
    changed.clear();
  }

  return {
    recall(scope, owner) {
      const now = clock();
      const last = recalledAt.get(scope);
      if (last !== undefined && now - last < intervalMs && now >= last) return;
      if (recalledAt.size >= maxRemembered) recalledAt.clear();
      recalledAt.set(scope, now);
      events.publish(LeaseRecalledSchema, create(LeaseRecalledSchema, { scope, owner }));
    },
    spendChanged(scopes) {
      for (const scope of scopes) changed.add(scope);
      if (changed.size >= maxRemembered) flush();
      else if (changed.size > 0 && timers.size === 0) timers.add(setTimeout(flush, intervalMs).unref());
    },
    close: flush,
  };
}
