import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import { type Database, databaseError } from "#chassis/database/database.ts";
import {
  type Grant,
  GrantSchema,
  LeaseResponseSchema,
  type QuotaService,
} from "#gen/sluice/accounting/v1/quota_service_pb.ts";
import { nothing, type Quantities, toAmounts } from "../amounts.ts";
import type { AccountingConfig } from "../config.ts";
import type { AccountingContext } from "../context.ts";
import { denial } from "../denial.ts";
import type { AccountingTelemetry } from "../events.ts";
import type { LeaseDesk } from "../lease-desk.ts";
import { type ReadLease, readLease } from "../lease-request.ts";
import type { Notices } from "../notices.ts";
import { bucketStart } from "../rate-window.ts";
import { release } from "../release.ts";
import { SoftBudgets } from "../soft-budgets.ts";

/**
 * Tops up wallets. A refusal on a scope that others hold leases of recalls what they do not use. A grant whose caller has
 * gone away meanwhile is taken back: nobody else knows of it.
 */
export function leaseRoute(
  desk: LeaseDesk,
  { database, config }: Pick<AccountingContext, "database" | "config">,
  notices: Notices,
  telemetry: AccountingTelemetry,
): ServiceImpl<typeof QuotaService>["lease"] {
  const softBudgets = new SoftBudgets(telemetry);
  return async (request, { signal }) => {
    const wanted = readLease(request);
    const outcome = await desk.lease(wanted, signal).catch((error: unknown) => {
      throw databaseError(error);
    });
    const { nowMs } = outcome;
    if ("refusal" in outcome) {
      const { refusal } = outcome;
      telemetry.leaseRefused(refusal.type);
      if (refusal.state.shared) notices.recall(refusal.need.scope, wanted.owner);
      throw denial(refusal, nowMs);
    }
    if (signal.aborted) {
      await takeBack(database, wanted.owner, outcome.granted, nowMs);
      throw signal.reason;
    }
    telemetry.leaseGranted(wanted.needs.length);
    softBudgets.check(outcome.watched);
    return create(LeaseResponseSchema, { grants: toGrants(wanted, outcome.granted, nowMs, config) });
  };
}

function toGrants(
  { needs }: ReadLease,
  granted: ReadonlyMap<string, Quantities>,
  nowMs: number,
  { leaseTtlMs, rateHoldMs }: AccountingConfig,
): Grant[] {
  const expiresAt = timestampFromMs(nowMs + leaseTtlMs);
  const rateExpiresAt = timestampFromMs(nowMs + rateHoldMs);
  const leasedAt = timestampFromMs(bucketStart(nowMs));
  return needs.map(({ scope }) =>
    create(GrantSchema, {
      scope,
      granted: toAmounts(granted.get(scope) ?? nothing),
      expiresAt,
      rateExpiresAt,
      leasedAt,
    }),
  );
}

function takeBack(
  database: Database,
  owner: string,
  granted: ReadonlyMap<string, Quantities>,
  leasedAtMs: number,
): Promise<void> {
  const returns = [...granted].map(([scope, unused]) => ({ scope, unused, leasedAtMs }));
  return release(database, owner, returns, undefined).catch((error: unknown) => {
    throw databaseError(error);
  });
}
