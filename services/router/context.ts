import type { Client } from "@connectrpc/connect";
import type { Meter } from "@opentelemetry/api";
import type { Database } from "#chassis/database/database.ts";
import type { EventBus } from "#chassis/events/bus.ts";
import type { Keyring } from "#chassis/keyring.ts";
import type { Logger } from "#chassis/log.ts";
import type { InferenceService } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import type { RequestService } from "#gen/sluice/inference/v1/request_service_pb.ts";
import type { Admitter } from "./admission/admission.ts";
import type { LoadedConfig } from "./models/live-models.ts";

/** Time and chance, replaceable in tests. */
export interface RouterRuntime {
  /** Milliseconds since 1970. */
  now(): number;
  /** From 0 up to 1. */
  random(): number;
  /** Resolves after a time, or as soon as the signal aborts. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

/** The provider-adapter, or whatever else implements the contracts. */
export interface AdapterClients {
  readonly inference: Client<typeof InferenceService>;
  readonly requests: Client<typeof RequestService>;
}

/** Where the configuration comes from. */
export interface ConfigSource {
  /** As it was read at the start. */
  readonly initial: LoadedConfig;
  /** Reads it again. Rejects with a ConfigurationError where it is no good. */
  load(): Promise<LoadedConfig>;
}

/** Where models live that are no part of the configuration. */
export interface ModelStore {
  /** Opens the database with `routerSchema`; rejects where it cannot be reached now. Undefined where there is none. */
  readonly open: (() => Promise<Database>) | undefined;
  readonly events: EventBus;
}

/** Everything the router is given. */
export interface RouterContext {
  readonly source: ConfigSource;
  readonly store: ModelStore;
  readonly adapter: AdapterClients;
  /** Closed by the router, after its last call. */
  readonly admitter: Admitter;
  /** Seals credentials, on their way to the adapter and in the database. */
  readonly keyring: Keyring;
  readonly log: Logger;
  readonly meter: Meter;
  /** The real clock and `Math.random` if left out. */
  readonly runtime?: RouterRuntime;
}

export const systemRuntime: RouterRuntime = {
  now: Date.now,
  random: Math.random,
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal.addEventListener("abort", done);
    }),
};
