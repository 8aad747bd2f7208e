import type { Meter } from "@opentelemetry/api";
import type { Logger } from "#chassis/log.ts";
import type { Sealer } from "#chassis/sealing.ts";
import type { AdapterConfig } from "./config.ts";
import type { ProviderSource } from "./providers/index.ts";

/** Everything the adapter needs, built once by the composition. */
export interface AdapterContext {
  readonly config: AdapterConfig;
  /** Opens the credentials that the router sealed. */
  readonly sealer: Sealer;
  readonly log: Logger;
  readonly meter: Meter;
  /** By id; the built-in ones where absent. */
  readonly providers?: ReadonlyMap<string, ProviderSource>;
}
