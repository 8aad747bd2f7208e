import type { HostedService } from "#chassis/service.ts";
import { type RouterContext, systemRuntime } from "./context.ts";
import { createRouterEvents } from "./events.ts";
import { createModelCatalog } from "./model-catalog.ts";
import { loadPriceBook } from "./prices/price-book.ts";
import { createProviderNames } from "./provider-table.ts";
import { createRegistry } from "./registry/registry.ts";
import { createRoutes } from "./routes/index.ts";
import { createFallbackLookup } from "./routing/fallback-plan.ts";
import type { RouterCore } from "./routing/model-call.ts";

/** Builds the router. Closing it closes its admitter, which flushes what calls have left; calls are drained before. */
export async function createRouterService(context: RouterContext): Promise<HostedService> {
  const { config, env, sealer, admitter } = context;
  const { settings } = config;
  const prices = await loadPriceBook();
  const names = createProviderNames(config.providers);
  const registry = createRegistry(config, { env, settings, sealer, prices, names });
  const core: RouterCore = {
    settings,
    registry,
    names,
    fallbacks: createFallbackLookup(settings),
    inference: context.adapter.inference,
    admitter,
    events: createRouterEvents(context.meter, context.log),
    runtime: context.runtime ?? systemRuntime,
  };
  return {
    name: "router",
    implementations: createRoutes(core, createModelCatalog(registry, names, prices, env), context.adapter.requests),
    close: () => admitter.close(),
  };
}
