import { randomUUID } from "node:crypto";
import type { Client } from "@connectrpc/connect";
import type { InferenceService } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import type { HealthCheckRow } from "../db/entities.ts";
import type { RouterEvents } from "../events.ts";
import type { LiveModels } from "../models/live-models.ts";
import type { ModelSync } from "../models/model-sync.ts";
import type { RegistryMember } from "../registry/registry.ts";
import { claimRound, keepChecks, latestChecks } from "./health-log.ts";
import { type ProbeResult, probe } from "./probe.ts";

export interface ProberOptions {
  readonly inference: Client<typeof InferenceService>;
  readonly live: LiveModels;
  readonly sync: ModelSync;
  readonly telemetry: RouterEvents;
  readonly clock: () => number;
}

const tickMs = 1000;
const inBackground = "background";

/** Asks deployments whether they answer: when somebody wants to know, and in the background where that is switched on. */
export class Prober {
  readonly #options: ProberOptions;
  readonly #latest = new Map<string, HealthCheckRow>();
  readonly #timer: NodeJS.Timeout;
  #dueAt = 0;
  #running: Promise<unknown> | undefined;
  readonly #closing = new AbortController();

  constructor(options: ProberOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#tick(), tickMs).unref();
  }

  /** The latest check of a deployment that this router knows of. */
  latest(id: string): HealthCheckRow | undefined {
    return this.#latest.get(id);
  }

  /** The latest checks that any router has made, else those of this one. */
  async known(): Promise<readonly HealthCheckRow[]> {
    try {
      return await latestChecks(this.#options.sync.database);
    } catch {
      return [...this.#latest.values()];
    }
  }

  /** Asks all of them, some at a time, and keeps what they answered. */
  async check(members: readonly RegistryMember[], checkedBy: string): Promise<HealthCheckRow[]> {
    const { live, sync, telemetry, clock } = this.#options;
    const waiting = members.values();
    const checks: HealthCheckRow[] = [];
    const work = async () => {
      for (const member of waiting) {
        const result = await this.probe(member);
        if (this.#closing.signal.aborted) return;
        checks.push(checkOf(member, result, checkedBy, new Date(clock())));
      }
    };
    await Promise.all(Array.from({ length: live.current.loaded.config.health.concurrency }, work));
    const ids = new Set(live.current.registry.members.map(({ id }) => id));
    for (const id of this.#latest.keys()) if (!ids.has(id)) this.#latest.delete(id);
    for (const check of checks) this.#latest.set(check.modelId, check);
    try {
      await keepChecks(sync.database, checks, clock());
    } catch (error) {
      telemetry.healthNotKept(error);
    }
    return checks;
  }

  /** Asks one deployment, which need not be among the configured ones. Never rejects. */
  probe({ config, id, deployment }: RegistryMember, mode = config.about.mode): Promise<ProbeResult> {
    const { inference, live } = this.#options;
    const { model, timeoutMs, maxTokens } = config.about.probe;
    const asked = model === undefined ? deployment : live.current.maker.single(config, id, model);
    return probe(inference, { deployment: asked, mode, timeoutMs, maxTokens, signal: this.#closing.signal });
  }

  async close(): Promise<void> {
    this.#closing.abort();
    clearInterval(this.#timer);
    await this.#running;
  }

  #tick(): void {
    const { health } = this.#options.live.current.loaded.config;
    if (!health.background || this.#running !== undefined || this.#options.clock() < this.#dueAt) return;
    this.#dueAt = this.#options.clock() + health.intervalMs;
    const { telemetry } = this.#options;
    this.#running = this.#round(health.intervalMs)
      .catch((error: unknown) => telemetry.healthNotKept(error))
      .finally(() => {
        this.#running = undefined;
      });
  }

  async #round(intervalMs: number): Promise<void> {
    const { live, sync, clock } = this.#options;
    // Without a database every router asks for itself.
    const isOurs = await this.#claim(sync, new Date(clock()), intervalMs);
    if (!isOurs) return;
    const members = live.current.registry.members.filter(
      ({ config: { about } }) => !about.blocked && about.probe.inBackground,
    );
    await this.check(members, inBackground);
  }

  async #claim(sync: ModelSync, at: Date, intervalMs: number): Promise<boolean> {
    try {
      return await claimRound(sync.database, at, intervalMs);
    } catch {
      return true;
    }
  }
}

function checkOf({ config, id }: RegistryMember, result: ProbeResult, checkedBy: string, at: Date): HealthCheckRow {
  return {
    healthCheckId: randomUUID(),
    modelId: id,
    modelName: config.modelName,
    healthy: result.error === undefined,
    errorMessage: result.error ?? null,
    responseTimeMs: result.responseMs,
    details: config.about.params,
    checkedBy,
    checkedAt: at,
  };
}
