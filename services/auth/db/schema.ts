import { Outbox, VirtualKey } from "./entities.ts";
import { Initial } from "./migrations/initial.ts";

/** What `openDatabase` needs to know of this service's database. */
export const authSchema = {
  schema: "auth",
  entities: [VirtualKey, Outbox],
  migrations: [{ name: "0001-initial", class: Initial }],
};
