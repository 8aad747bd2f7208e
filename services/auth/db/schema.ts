import {
  AccessGroup,
  Budget,
  Customer,
  DeletedKey,
  Organization,
  OrganizationMember,
  Outbox,
  Project,
  RetiredKey,
  Tag,
  Team,
  TeamMember,
  User,
  VirtualKey,
  WaitingKey,
} from "./entities.ts";
import { BudgetReferences } from "./migrations/budget-references.ts";
import { Imported } from "./migrations/imported.ts";
import { Initial } from "./migrations/initial.ts";
import { KeyLists } from "./migrations/key-lists.ts";
import { TeamLists } from "./migrations/team-lists.ts";
import { Tenancy } from "./migrations/tenancy.ts";

/** What `openDatabase` needs to know of this service's database. */
export const authSchema = {
  schema: "auth",
  entities: [
    VirtualKey,
    RetiredKey,
    WaitingKey,
    DeletedKey,
    User,
    Team,
    TeamMember,
    Organization,
    OrganizationMember,
    Project,
    Budget,
    Customer,
    Tag,
    AccessGroup,
    Outbox,
  ],
  migrations: [
    { name: "0001-initial", class: Initial },
    { name: "0002-tenancy", class: Tenancy },
    { name: "0003-budget-references", class: BudgetReferences },
    { name: "0004-key-lists", class: KeyLists },
    { name: "0005-team-lists", class: TeamLists },
    { name: "0009-imported", class: Imported },
  ],
};
