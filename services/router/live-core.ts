import type { LiveModels } from "./models/live-models.ts";
import type { RouterCore } from "./routing/model-call.ts";

/** What calls share, always of the models in use: a call reads each of these when it needs it. */
export function createLiveCore(
  live: LiveModels,
  parts: Pick<RouterCore, "inference" | "admitter" | "events" | "runtime">,
): RouterCore {
  return {
    ...parts,
    get settings() {
      return live.current.loaded.config.settings;
    },
    get registry() {
      return live.current.registry;
    },
    get names() {
      return live.current.names;
    },
    get fallbacks() {
      return live.current.fallbacks;
    },
  };
}
