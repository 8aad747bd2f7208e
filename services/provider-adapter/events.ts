import type { ConnectError } from "@connectrpc/connect";
import type { Attributes, Meter } from "@opentelemetry/api";
import { findUpstreamError } from "#chassis/errors.ts";
import { errorText, type Logger } from "#chassis/log.ts";
import { attributeNames, durationBuckets } from "#chassis/telemetry-names.ts";
import { UpstreamErrorKind } from "#gen/sluice/error/v1/error_pb.ts";

/** What the adapter tells its operators: one function per event. */
export interface AdapterEvents {
  callStarted(): void;
  /** The provider's first payload is there. */
  firstPayload(provider: string, elapsedMs: number): void;
  callAnswered(provider: string, elapsedMs: number): void;
  /** The caller left, or its deadline passed. */
  callAborted(provider: string): void;
  callFailed(provider: string, callId: string, error: ConnectError): void;
  /** A call went to a service without the deployment's key, which is sent over mutual TLS alone. */
  credentialKeptBack(deployment: string): void;
}

/** Of how many deployments something is said once each. */
const maxDeploymentsTold = 1000;

function kindName(kind: UpstreamErrorKind): string {
  const found = Object.entries(UpstreamErrorKind).find(([, value]) => value === kind);
  return found === undefined ? "unknown" : found[0].toLowerCase();
}

export function createAdapterEvents(meter: Meter, log: Logger): AdapterEvents {
  const advice = { unit: "s", advice: { explicitBucketBoundaries: durationBuckets } };
  const active = meter.createUpDownCounter("sluice.upstream.active_calls", {
    description: "Calls to providers in flight",
  });
  const calls = meter.createCounter("sluice.upstream.calls", { description: "Calls to providers, by how they ended" });
  const firstPayload = meter.createHistogram("sluice.upstream.time_to_first_payload", {
    ...advice,
    description: "Time from the request to the provider's first payload",
  });
  const duration = meter.createHistogram("sluice.upstream.duration", {
    ...advice,
    description: "Time from the request to the provider's last payload",
  });
  /** Made once, by provider and kind of error: there are few. */
  const known = new Map<string, Map<string, Attributes>>();
  const attributes = (provider: string, errorType: string): Attributes => {
    const found = known.get(provider)?.get(errorType);
    if (found !== undefined) return found;
    const made = { [attributeNames.provider]: provider, [attributeNames.errorType]: errorType };
    const ofProvider = known.get(provider) ?? new Map<string, Attributes>();
    known.set(provider, ofProvider.set(errorType, made));
    return made;
  };
  const ended = (provider: string, errorType: string) => {
    active.add(-1);
    calls.add(1, attributes(provider, errorType));
  };

  return {
    credentialKeptBack: tellOfKeptCredentials(log),
    callStarted: () => active.add(1),
    firstPayload: (provider, elapsedMs) => firstPayload.record(elapsedMs / 1000, attributes(provider, "")),
    callAnswered(provider, elapsedMs) {
      ended(provider, "");
      duration.record(elapsedMs / 1000, attributes(provider, ""));
    },
    callAborted: (provider) => ended(provider, "aborted"),
    callFailed(provider, callId, error) {
      const detail = findUpstreamError(error);
      const kind = detail === undefined ? "refused" : kindName(detail.kind);
      ended(provider, kind);
      log.info("provider call failed", {
        call_id: callId,
        provider,
        kind,
        status: detail?.httpStatus,
        cause: error.cause === undefined ? undefined : errorText(error.cause),
      });
    },
  };
}

/** Says it of each deployment once. */
function tellOfKeptCredentials(log: Logger): AdapterEvents["credentialKeptBack"] {
  const told = new Set<string>();
  return (deployment) => {
    if (told.has(deployment) || told.size >= maxDeploymentsTold) return;
    told.add(deployment);
    log.warn("a key is not sent: it takes an address with grpcs:// and SLUICE_GRPC_CERT_FILE", { deployment });
  };
}
