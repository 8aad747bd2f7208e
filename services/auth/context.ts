import type { Client } from "@connectrpc/connect";
import type { Meter } from "@opentelemetry/api";
import type { Database } from "#chassis/database/database.ts";
import type { EventBus } from "#chassis/events/bus.ts";
import type { Logger } from "#chassis/log.ts";
import type { Sealer } from "#chassis/sealing.ts";
import type { SpendService } from "#gen/sluice/accounting/v1/spend_service_pb.ts";
import type { AuthConfig } from "./config.ts";
import type { AuthTelemetry } from "./events.ts";
import type { Announcer } from "./outbox.ts";

/** Everything auth gets from outside. */
export interface AuthContext {
  /** Opened with `authSchema`. The composition closes it, after the service. */
  readonly database: Database;
  readonly events: EventBus;
  readonly spend: Client<typeof SpendService>;
  /** SHA-256 of the master key, lowercase hex. Undefined means that there is none, and nobody may manage keys. */
  readonly masterKeyHash: string | undefined;
  /** Seals keys that wait to be collected. Every replica is given the same. */
  readonly sealer: Sealer;
  readonly config: AuthConfig;
  readonly log: Logger;
  readonly meter: Meter;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
}

/** What a route of auth needs. */
export interface RouteContext {
  readonly database: Database;
  readonly announcer: Announcer;
  readonly spend: Client<typeof SpendService>;
  readonly masterKeyHash: string | undefined;
  readonly sealer: Sealer;
  readonly config: AuthConfig;
  readonly telemetry: AuthTelemetry;
  readonly clock: () => number;
}
