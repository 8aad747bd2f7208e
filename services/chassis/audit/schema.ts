import { Initial } from "./migrations/initial.ts";

/**
 * The schema of the audit, which the services share: one log and one chain for all of them. Whichever of them comes first
 * creates it, before its own migrations.
 */
export const auditSchema = {
  schema: "audit",
  migrations: [{ name: "0001-initial", class: Initial }],
};
