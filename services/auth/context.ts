import type { Client } from "@connectrpc/connect";
import type { Meter } from "@opentelemetry/api";
import type { Database } from "#chassis/database/database.ts";
import type { EventBus } from "#chassis/events/bus.ts";
import type { Keyring } from "#chassis/keyring.ts";
import type { Logger } from "#chassis/log.ts";
import type { SpendService } from "#gen/sluice/accounting/v1/spend_service_pb.ts";
import type { AuthConfig } from "./config.ts";
import type { AuthTelemetry } from "./events.ts";
import type { ConfiguredMasterKey, MasterKeys } from "./master-keys.ts";
import type { Announcer } from "./outbox.ts";

/** Everything auth gets from outside. */
export interface AuthContext {
  /** Opened with `authSchema`. The composition closes it, after the service. */
  readonly database: Database;
  readonly events: EventBus;
  readonly spend: Client<typeof SpendService>;
  /** Undefined means that there is none, and nobody may manage keys. */
  readonly masterKey: ConfiguredMasterKey | undefined;
  /** Open: made by `prepareKeyring` of the same database. */
  readonly keyring: Keyring;
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
  readonly masterKeys: MasterKeys;
  readonly keyring: Keyring;
  readonly config: AuthConfig;
  readonly telemetry: AuthTelemetry;
  readonly clock: () => number;
}
