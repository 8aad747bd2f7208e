import type { Client } from "@connectrpc/connect";
import type { Meter } from "@opentelemetry/api";
import type { EventBus } from "#chassis/events/bus.ts";
import type { Logger } from "#chassis/log.ts";
import type { AuthService } from "#gen/sluice/auth/v1/auth_service_pb.ts";
import type { LoginService } from "#gen/sluice/auth/v1/login_service_pb.ts";
import type { InferenceService } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import type { RequestService } from "#gen/sluice/inference/v1/request_service_pb.ts";
import type { ModelService } from "#gen/sluice/router/v1/model_service_pb.ts";
import type { EdgeConfig } from "./config.ts";
import type { RestBinding } from "./rest/rest-binding.ts";

/** The services the edge calls. */
export interface EdgeClients {
  readonly auth: Client<typeof AuthService>;
  readonly inference: Client<typeof InferenceService>;
  readonly models: Client<typeof ModelService>;
  readonly requests: Client<typeof RequestService>;
  readonly login: Client<typeof LoginService>;
  /** Services whose RPCs carry REST paths; made with `bindRest`. */
  readonly rest: readonly RestBinding[];
}

/** What `/health/readiness` reports of the process. */
export interface HealthReport {
  /** Whether the process may get calls. A database that is away does not make it unready. */
  readonly ready: boolean;
  readonly db: "connected" | "unavailable";
}

/** Everything the edge needs, built once by the composition. */
export interface EdgeContext {
  readonly clients: EdgeClients;
  readonly events: EventBus;
  readonly config: EdgeConfig;
  readonly log: Logger;
  readonly meter: Meter;
  /** All metrics of the process in Prometheus' text format. */
  readonly metrics: () => Promise<string>;
  readonly health: () => Promise<HealthReport>;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}
