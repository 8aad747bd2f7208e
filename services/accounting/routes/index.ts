import { type Implementation, implement } from "#chassis/service.ts";
import { QuotaService } from "#gen/sluice/accounting/v1/quota_service_pb.ts";
import { SpendService } from "#gen/sluice/accounting/v1/spend_service_pb.ts";
import type { AccountingContext } from "../context.ts";
import type { DatabaseOutage } from "../database-outage.ts";
import type { AccountingTelemetry } from "../events.ts";
import { createLeaseDesk } from "../lease-desk.ts";
import type { Notices } from "../notices.ts";
import { copySpendRoute } from "./copy-spend.ts";
import { forgetSpendRoute } from "./forget-spend.ts";
import { getSpendRoute } from "./get-spend.ts";
import { leaseRoute } from "./lease.ts";
import { listSpendLogsRoute } from "./list-spend-logs.ts";
import { listSpendersRoute } from "./list-spenders.ts";
import { releaseRoute } from "./release.ts";
import { setSpendRoute } from "./set-spend.ts";

/** Everything that accounting serves. */
export function accountingRoutes(
  context: AccountingContext,
  notices: Notices,
  telemetry: AccountingTelemetry,
  outage: DatabaseOutage,
): Implementation[] {
  const { database, clock, config } = context;
  const { leaseTtlMs, rateHoldMs, timeZone } = config;
  const desk = createLeaseDesk({ database, outage, clock, leaseTtlMs, rateHoldMs, timeZone });
  return [
    implement(QuotaService, {
      lease: leaseRoute(desk, context, notices, telemetry),
      release: releaseRoute(context, telemetry),
    }),
    implement(SpendService, {
      getSpend: getSpendRoute(context),
      listSpenders: listSpendersRoute(context),
      setSpend: setSpendRoute(context, notices),
      copySpend: copySpendRoute(context, notices),
      forgetSpend: forgetSpendRoute(context),
      listSpendLogs: listSpendLogsRoute(context),
    }),
  ];
}
