import type { HostedService } from "#chassis/service.ts";
import { type RouterContext, systemRuntime } from "./context.ts";
import { createRouterEvents } from "./events.ts";
import { Prober } from "./health/prober.ts";
import { createLiveCore } from "./live-core.ts";
import { ConfigReload } from "./models/config-reload.ts";
import { LiveModels } from "./models/live-models.ts";
import { ModelSync } from "./models/model-sync.ts";
import { loadPriceBook } from "./prices/price-book.ts";
import { createRoutes } from "./routes/index.ts";

/** The router as the composition sees it. */
export interface RouterService extends HostedService {
  /** Reads the configuration file again. Never rejects: a file that is no good is logged, and nothing changes. */
  reloadConfig(): Promise<void>;
}

const pollMs = 5_000;
const startPatienceMs = 10_000;

/** Builds the router. Closing it closes its admitter, which flushes what calls have left; calls are drained before. */
export async function createRouterService(context: RouterContext): Promise<RouterService> {
  const { source, store, keyring, admitter, adapter } = context;
  const { events } = store;
  const telemetry = createRouterEvents(context.meter, context.log);
  const live = new LiveModels({ sealer: keyring, prices: await loadPriceBook(), events: telemetry }, source.initial);
  keyring.onChange(() => live.sealAnew());
  const sync = new ModelSync({ ...store, live, keyring, telemetry, pollMs, patienceMs: startPatienceMs });
  await sync.start();
  const reload = new ConfigReload({ load: source.load, live, events, telemetry });
  const clock = Date.now;
  const prober = new Prober({ inference: adapter.inference, live, sync, telemetry, clock });
  const core = createLiveCore(live, {
    inference: adapter.inference,
    admitter,
    events: telemetry,
    runtime: context.runtime ?? systemRuntime,
  });
  const admin = { live, sync, events, telemetry, prober, reload: () => reload.reloadEverywhere(), clock };
  return {
    name: "router",
    implementations: createRoutes(core, admin, adapter.requests),
    async reloadConfig() {
      await reload.reload().catch(() => undefined);
    },
    async close() {
      await prober.close();
      await reload.close();
      await sync.close();
      await admitter.close();
    },
  };
}
