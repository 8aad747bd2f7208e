import { setTimeout as pause } from "node:timers/promises";
import { Code, ConnectError } from "@connectrpc/connect";
import { Health, HealthCheckResponse_ServingStatus } from "#gen/grpc/health/v1/health_pb.ts";
import { type Implementation, implement } from "../service.ts";

/** How often a watched server is asked whether it is healthy. */
const watchEveryMs = 500;

export interface HealthOptions {
  /** Type names of the services that are served. Each is as healthy as the whole server, whose name is empty. */
  readonly services: readonly string[];
  readonly health: () => boolean;
  /** Aborts when the server starts to close: from then on it is NOT_SERVING, and watches end. */
  readonly closing: AbortSignal;
}

/** The standard health service, https://github.com/grpc/grpc/blob/master/doc/health-checking.md */
export function createHealthService(options: HealthOptions): Implementation {
  const known = new Set(["", Health.typeName, ...options.services]);
  const statusOf = (service: string): HealthCheckResponse_ServingStatus => {
    if (!known.has(service)) return HealthCheckResponse_ServingStatus.SERVICE_UNKNOWN;
    return !options.closing.aborted && options.health()
      ? HealthCheckResponse_ServingStatus.SERVING
      : HealthCheckResponse_ServingStatus.NOT_SERVING;
  };
  return implement(Health, {
    check(request) {
      if (!known.has(request.service)) throw new ConnectError("unknown service", Code.NotFound);
      return { status: statusOf(request.service) };
    },
    async *watch(request, context) {
      const wake = AbortSignal.any([context.signal, options.closing]);
      let last: HealthCheckResponse_ServingStatus | undefined;
      while (!context.signal.aborted) {
        const status = statusOf(request.service);
        if (status !== last) yield { status };
        last = status;
        if (options.closing.aborted) return;
        await pause(watchEveryMs, undefined, { signal: wake }).catch(() => undefined);
      }
    },
  });
}
