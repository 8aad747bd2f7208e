import type { EventBus } from "#chassis/events/bus.ts";
import type { RouterEvents } from "../events.ts";
import type { Prober } from "../health/prober.ts";
import type { LiveModels } from "./live-models.ts";
import type { ModelSync } from "./model-sync.ts";

/** What a route that manages models needs. */
export interface AdminContext {
  readonly live: LiveModels;
  readonly sync: ModelSync;
  readonly events: EventBus;
  readonly telemetry: RouterEvents;
  readonly prober: Prober;
  /** Reads the configuration file again and puts it to use; see `ConfigReload`. */
  readonly reload: () => Promise<readonly string[]>;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
}
