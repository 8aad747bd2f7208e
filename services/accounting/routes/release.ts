import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { databaseError } from "#chassis/database/database.ts";
import { type QuotaService, ReleaseResponseSchema } from "#gen/sluice/accounting/v1/quota_service_pb.ts";
import type { AccountingContext } from "../context.ts";
import type { AccountingTelemetry } from "../events.ts";
import { readRelease } from "../lease-request.ts";
import { release } from "../release.ts";

/** Takes back what wallets do not use, or the wallets. */
export function releaseRoute(
  { database, clock, config }: AccountingContext,
  telemetry: AccountingTelemetry,
): ServiceImpl<typeof QuotaService>["release"] {
  return async (request) => {
    const { owner, returns, all } = readRelease(request);
    const closeAtMs = all ? clock() + config.settleGraceMs : undefined;
    await release(database, owner, returns, closeAtMs).catch((error: unknown) => {
      throw databaseError(error);
    });
    if (all) telemetry.leasesClosed(owner);
    return create(ReleaseResponseSchema);
  };
}
