import { Lease, Ledger, RateBucket, RejectedUsage, SpendLog } from "./entities.ts";
import { ImportedSpend } from "./migrations/imported-spend.ts";
import { Initial } from "./migrations/initial.ts";
import { SpendRows } from "./migrations/spend-rows.ts";

/** What `openDatabase` needs to know of this service's database. */
export const accountingSchema = {
  schema: "accounting",
  audited: true,
  entities: [SpendLog, Ledger, Lease, RateBucket, RejectedUsage],
  migrations: [
    { name: "0001-initial", class: Initial },
    { name: "0002-imported-spend", class: ImportedSpend },
    { name: "0003-spend-rows", class: SpendRows },
  ],
};
