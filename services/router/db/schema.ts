import { HealthCheck, StoredCredential, StoredDeployment } from "./entities.ts";
import { Audit } from "./migrations/audit.ts";
import { Imported } from "./migrations/imported.ts";
import { Initial } from "./migrations/initial.ts";

/** What `openDatabase` needs to know of this service's database. */
export const routerSchema = {
  schema: "router",
  audited: true,
  entities: [StoredDeployment, StoredCredential, HealthCheck],
  migrations: [
    { name: "0001-initial", class: Initial },
    { name: "0002-audit", class: Audit },
    { name: "0003-imported", class: Imported },
  ],
};
