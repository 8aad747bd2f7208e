import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { create, type DescService, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type CallOptions,
  type Client,
  Code,
  ConnectError,
  createClient,
  createRouterTransport,
  type ServiceImpl,
} from "@connectrpc/connect";
import { createNoopMeter } from "@opentelemetry/api";
import { callerHeaders, masterCaller } from "#chassis/caller-header.ts";
import { type Database, openDatabase } from "#chassis/database/database.ts";
import { findGatewayError } from "#chassis/errors.ts";
import type { EventBus } from "#chassis/events/bus.ts";
import { createInProcessBus } from "#chassis/events/in-process.ts";
import { createLogger } from "#chassis/log.ts";
import { createLocalClient } from "#chassis/rpc/local-client.ts";
import type { TestDatabase } from "#chassis/testing/databases.ts";
import { testKeyring } from "#chassis/testing/keyring.ts";
import { SpendService } from "#gen/sluice/accounting/v1/spend_service_pb.ts";
import { AuthService } from "#gen/sluice/auth/v1/auth_service_pb.ts";
import type { KeySettingsSchema } from "#gen/sluice/auth/v1/key_pb.ts";
import { KeyService } from "#gen/sluice/auth/v1/key_service_pb.ts";
import type { LimitsSchema } from "#gen/sluice/auth/v1/limits_pb.ts";
import { PrincipalChangedSchema } from "#gen/sluice/auth/v1/principal_pb.ts";
import type { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { AdminCallerSchema, Role } from "#gen/sluice/rest/v1/caller_pb.ts";
import { type AuthConfig, readEnv } from "../config.ts";
import type { AuthContext } from "../context.ts";
import { authSchema } from "../db/schema.ts";
import { hashKey } from "../secret-key.ts";
import { createAuthService } from "../service.ts";

/** The clock of every test, milliseconds since the epoch. */
export const now = Date.UTC(2026, 0, 31, 12);
export const masterKeyHash = hashKey("sk-master");
export const master: CallOptions = { headers: callerHeaders(masterCaller(masterKeyHash)) };

/** Calls as somebody: `as({ keyId })` is a key without a user. */
export function as(caller: MessageInitShape<typeof AdminCallerSchema>): CallOptions {
  const roles = [Role.KEY, ...(caller.roles ?? [])];
  return { headers: callerHeaders(create(AdminCallerSchema, { keyId: "f".repeat(64), ...caller, roles })) };
}

export interface Setup {
  /** A client of any service of auth. */
  client<S extends DescService>(service: S): Client<S>;
  readonly auth: Client<typeof AuthService>;
  readonly keys: Client<typeof KeyService>;
  readonly database: Database;
  /** Every key id that was announced. */
  readonly announced: string[];
  /** Every other scope that was announced. */
  readonly announcedScopes: string[];
  /** What accounting says was spent, by scope. */
  readonly spent: Map<string, bigint>;
  readonly bus: { connected: boolean };
  /** What time it is for auth: `now`, until a test sets it. */
  readonly clock: { now: number };
  close(): Promise<void>;
}

/** Auth over a real database, with an accounting that knows what `spent` says. `own` replaces parts of its settings. */
export async function setUp(
  url: TestDatabase["url"],
  spendWorks = true,
  connected = true,
  own: Partial<AuthConfig> = {},
  trust: Partial<Pick<AuthContext, "masterKey" | "keyring">> = {},
): Promise<Setup> {
  const log = createLogger("error", () => undefined);
  const database = await openDatabase({ url, ...authSchema, log });
  const spent = new Map<string, bigint>();
  const spend = createLocalClient(SpendService, {
    async getSpend({ scopes }: { scopes: string[] }) {
      if (!spendWorks) throw new ConnectError("down", Code.Unavailable);
      // Accounting shares the embedded database: it cannot answer within a transaction of auth.
      await database.em().execute("select 1");
      return { spends: scopes.map((scope) => ({ scope, spentNanoUsd: spent.get(scope) ?? 0n })) };
    },
    listSpenders({ kind }: { kind: string }) {
      const spends = [...spent].filter(([scope]) => scope.startsWith(`${kind}:`));
      return { spends: spends.map(([scope, spentNanoUsd]) => ({ scope, spentNanoUsd })) };
    },
    async setSpend({ scope, spentNanoUsd }: { scope: string; spentNanoUsd: bigint }) {
      await database.em().execute("select 1");
      const previousNanoUsd = spent.get(scope) ?? 0n;
      spent.set(scope, spentNanoUsd);
      return { previousNanoUsd };
    },
    copySpend({ fromScope, toScope }: { fromScope: string; toScope: string }) {
      if (!spendWorks) throw new ConnectError("down", Code.Unavailable);
      for (const [scope, amount] of [...spent]) {
        if (scope === fromScope || scope.startsWith(`${fromScope}|`)) {
          spent.set(toScope + scope.slice(fromScope.length), amount);
        }
      }
      return {};
    },
  });
  const inner = createInProcessBus(log);
  const bus = { connected };
  const events: EventBus = Object.create(inner, { connected: { get: () => bus.connected } });
  const announced: string[] = [];
  const announcedScopes: string[] = [];
  events.subscribe(PrincipalChangedSchema, ({ keyIds, scopes }) => {
    announced.push(...keyIds);
    announcedScopes.push(...scopes);
  });
  const config = { ...readEnv({}), announceRetryMs: 20, ...own };
  const clock = { now };
  const meter = createNoopMeter();
  const service = createAuthService({
    ...{ database, events, spend, config, log, meter },
    masterKey: { hash: masterKeyHash },
    keyring: testKeyring(),
    ...trust,
    clock: () => clock.now,
  });
  const transport = createRouterTransport((router) => {
    for (const { service: desc, implementation } of service.implementations) {
      router.service<DescService>(desc, implementation as Partial<ServiceImpl<DescService>>);
    }
  });
  return {
    client: (desc) => createClient(desc, transport),
    auth: createClient(AuthService, transport),
    keys: createClient(KeyService, transport),
    database,
    announced,
    announcedScopes,
    spent,
    bus,
    clock,
    async close() {
      await service.close();
      await database.close();
    },
  };
}

/** Asserts that work fails for a reason that names a field. */
export async function refused(work: Promise<unknown>, reason: Reason, param: string): Promise<ConnectError> {
  const error = await work.then(
    () => assert.fail(`it should be refused: ${reason} ${param}`),
    (thrown: unknown) => ConnectError.from(thrown),
  );
  const detail = findGatewayError(error);
  assert.deepEqual([detail?.reason, detail?.param], [reason, param], `${error.message} ${String(error.cause)}`);
  return error;
}

export async function until(check: () => boolean): Promise<void> {
  for (let tries = 0; tries < 200 && !check(); tries += 1) await sleep(20);
  assert.ok(check());
}

/** A request in REST's flat form: what is no field of the request itself is a setting or a limit. */
export interface FlatKey extends Omit<MessageInitShape<typeof KeySettingsSchema>, "$typeName" | "$unknown" | "limits"> {
  key?: string;
  duration?: string;
  spend?: bigint;
  keyType?: string;
  limits?: MessageInitShape<typeof LimitsSchema>;
}

/** Makes a key. */
export async function generate(keys: Client<typeof KeyService>, flat: FlatKey, options: CallOptions) {
  const { key, duration, spend, keyType, ...settings } = flat;
  const made = await keys.generateKey({ key, duration, spend, keyType, settings }, options);
  assert.ok(made.stored?.settings);
  return { ...made.stored, key: made.key, tokenId: made.tokenId };
}
