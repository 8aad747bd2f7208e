import type { Attributes, Meter } from "@opentelemetry/api";
import { errorText, type Logger } from "#chassis/log.ts";
import { type UsageStatus, UsageStatusSchema } from "#gen/sluice/accounting/v1/spend_pb.ts";
import { UpstreamErrorKindSchema } from "#gen/sluice/error/v1/error_pb.ts";
import type { Deployment } from "./registry/deployment.ts";
import type { Failure } from "./routing/failure.ts";

/** What happens in the router that somebody may want to count or read. One function per event. */
export interface RouterEvents {
  callEnded(deployment: Deployment, status: UsageStatus): void;
  attemptFailed(deployment: Deployment, failure: Failure): void;
  retried(deployment: Deployment): void;
  fellBack(from: string, to: string): void;
  cooledDown(deployment: Deployment, durationMs: number): void;
  /** A call was answered whose price nobody knows. */
  unpriced(deployment: Deployment): void;
  /** The end of a call that nobody waits for could not be recorded. */
  settlementFailed(callId: string, error: unknown): void;
  /** An administrator has made, changed or deleted a model, a credential or a group of models. */
  changed(change: { readonly kind: string; readonly name: string; readonly action: string }, by: string): void;
  /** A model or credential of the database makes no sense, or was sealed under another key. */
  storedUnreadable(name: string, what: string): void;
  /** The models of the database cannot be read; what was read last stays in use. */
  modelsUnreadable(what: string): void;
  modelsReadable(): void;
  /** The configuration file was read again. */
  configReloaded(models: number, warnings: readonly string[]): void;
  /** It is no good: what runs goes on running. */
  configRefused(error: unknown): void;
  /** The file was read again because somebody asked, and the audit does not have it. */
  reloadNotRecorded(error: unknown): void;
  healthNotKept(error: unknown): void;
}

export function createRouterEvents(meter: Meter, log: Logger): RouterEvents {
  const calls = meter.createCounter("sluice.router.calls", { description: "Calls that reached a provider, by end" });
  const failures = meter.createCounter("sluice.router.attempt_failures", { description: "Failed attempts, by kind" });
  const retries = meter.createCounter("sluice.router.retries", { description: "Retries" });
  const fallbacks = meter.createCounter("sluice.router.fallbacks", { description: "Calls passed to a fallback" });
  const cooldowns = meter.createCounter("sluice.router.cooldowns", { description: "Deployments cooled down" });
  const unpriced = meter.createCounter("sluice.router.unpriced_calls", { description: "Calls of unknown price" });
  const attributes = new Map<string, Attributes[]>();
  const reported = new WeakSet<Deployment>();

  // Attribute objects are made once per provider and status: this runs for every call.
  const ended = ({ provider }: Deployment, status: UsageStatus): Attributes => {
    let byStatus = attributes.get(provider);
    if (byStatus === undefined) {
      byStatus = [];
      for (const { number, localName } of UsageStatusSchema.values) {
        byStatus[number] = { "gen_ai.provider.name": provider, status: localName.toLowerCase() };
      }
      attributes.set(provider, byStatus);
    }
    return byStatus[status] ?? { "gen_ai.provider.name": provider, status: "unknown" };
  };

  return {
    callEnded: (deployment, status) => calls.add(1, ended(deployment, status)),
    attemptFailed({ provider, id }, { kind, httpStatus, error }) {
      const name =
        kind === undefined ? "gateway" : (UpstreamErrorKindSchema.value[kind]?.localName ?? "unknown").toLowerCase();
      failures.add(1, { "gen_ai.provider.name": provider, "error.type": name });
      log.debug("attempt failed", { provider, deployment: id, kind: name, status: httpStatus, code: error.code });
    },
    retried: ({ provider }) => retries.add(1, { "gen_ai.provider.name": provider }),
    fellBack(from, to) {
      fallbacks.add(1);
      log.info("fallback", { from, to });
    },
    cooledDown({ provider, id }, durationMs) {
      cooldowns.add(1, { "gen_ai.provider.name": provider });
      log.warn("deployment cools down", { provider, deployment: id, seconds: durationMs / 1000 });
    },
    unpriced(deployment) {
      unpriced.add(1, { "gen_ai.provider.name": deployment.provider });
      if (reported.has(deployment)) return;
      reported.add(deployment);
      const { provider, target, id } = deployment;
      log.warn("the price of a model is unknown", { provider, model: target.model, deployment: id });
    },
    settlementFailed: (callId, error) =>
      log.error("a call's end was not recorded", { callId, error: errorText(error) }),
    ...modelEvents(meter, log),
  };
}

type ModelEvents = Pick<
  RouterEvents,
  | "changed"
  | "storedUnreadable"
  | "modelsUnreadable"
  | "modelsReadable"
  | "configReloaded"
  | "configRefused"
  | "reloadNotRecorded"
  | "healthNotKept"
>;

function modelEvents(meter: Meter, log: Logger): ModelEvents {
  const changes = meter.createCounter("sluice.router.changes", { description: "Changes by administrators, by kind" });
  return {
    changed({ kind, name, action }, by) {
      changes.add(1, { kind, action });
      log.info(`${kind} ${action}`, { name, by: /^[0-9a-f]{64}$/.test(by) ? by.slice(0, 8) : by });
    },
    storedUnreadable: (name, what) => log.error("a stored model or credential cannot be used", { name, error: what }),
    modelsUnreadable: (what) => log.warn("the models of the database cannot be read", { error: what }),
    modelsReadable: () => log.info("the models of the database can be read again"),
    configReloaded(models, warnings) {
      log.info("the configuration file was read again", { models });
      for (const warning of warnings) log.warn(warning);
    },
    configRefused: (error) =>
      log.error("the configuration file is no good; what runs goes on running", { error: errorText(error) }),
    reloadNotRecorded: (error) => log.error("the reload is not in the audit", { error: errorText(error) }),
    healthNotKept: (error) => log.warn("checks of deployments were not kept", { error: errorText(error) }),
  };
}
