import { randomUUID } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import type { EventBus, Unsubscribe } from "#chassis/events/bus.ts";
import { ConfigReloadRequestedSchema } from "#gen/sluice/router/v1/model_pb.ts";
import type { RouterEvents } from "../events.ts";
import type { LiveModels, LoadedConfig } from "./live-models.ts";

export interface ConfigReloadOptions {
  /** Reads and checks the configuration file. Rejects with a ConfigurationError where it is no good. */
  readonly load: () => Promise<LoadedConfig>;
  readonly live: LiveModels;
  readonly events: EventBus;
  readonly telemetry: RouterEvents;
}

/** Puts a changed configuration file to use, as a whole or not at all. */
export class ConfigReload {
  readonly #options: ConfigReloadOptions;
  readonly #origin = randomUUID();
  readonly #unsubscribe: Unsubscribe;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: ConfigReloadOptions) {
    this.#options = options;
    this.#unsubscribe = options.events.subscribe(ConfigReloadRequestedSchema, ({ origin }) => {
      if (origin !== this.#origin) this.reload().catch(() => undefined);
    });
  }

  /** Reads the file again; two at once take turns. Resolves with what the file asks for and does not get. */
  reload(): Promise<readonly string[]> {
    const run = this.#last.then(() => this.#read());
    this.#last = run.catch(() => undefined);
    return run;
  }

  /** The same, and asks the other routers to do so too. */
  async reloadEverywhere(): Promise<readonly string[]> {
    const warnings = await this.reload();
    const { events } = this.#options;
    events.publish(ConfigReloadRequestedSchema, create(ConfigReloadRequestedSchema, { origin: this.#origin }));
    return warnings;
  }

  async close(): Promise<void> {
    await this.#unsubscribe();
    await this.#last;
  }

  async #read(): Promise<readonly string[]> {
    const { load, live, telemetry } = this.#options;
    try {
      const loaded = await load();
      live.useConfig(loaded);
      telemetry.configReloaded(loaded.config.deployments.length, loaded.warnings);
      return loaded.warnings;
    } catch (error) {
      telemetry.configRefused(error);
      throw error;
    }
  }
}
