import { AuditEntry } from "#chassis/audit/entry.ts";
import {
  AccessGroup,
  Budget,
  Customer,
  DeletedKey,
  DeletedTeam,
  EndedScope,
  KeyWrapping,
  LoginSession,
  MasterKeyRotation,
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
import { Audit } from "./migrations/audit.ts";
import { BudgetReferences } from "./migrations/budget-references.ts";
import { EndedThings } from "./migrations/ended-things.ts";
import { Imported } from "./migrations/imported.ts";
import { Initial } from "./migrations/initial.ts";
import { KeyLists } from "./migrations/key-lists.ts";
import { LoginSessions } from "./migrations/login-sessions.ts";
import { TeamLists } from "./migrations/team-lists.ts";
import { Tenancy } from "./migrations/tenancy.ts";
import { Trust } from "./migrations/trust.ts";

/** What `openDatabase` needs to know of this service's database. */
export const authSchema = {
  schema: "auth",
  audited: true,
  entities: [
    VirtualKey,
    RetiredKey,
    WaitingKey,
    DeletedKey,
    DeletedTeam,
    EndedScope,
    KeyWrapping,
    MasterKeyRotation,
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
    LoginSession,
    Outbox,
    AuditEntry,
  ],
  migrations: [
    { name: "0001-initial", class: Initial },
    { name: "0002-tenancy", class: Tenancy },
    { name: "0003-budget-references", class: BudgetReferences },
    { name: "0004-key-lists", class: KeyLists },
    { name: "0005-team-lists", class: TeamLists },
    { name: "0006-trust", class: Trust },
    { name: "0007-ended-things", class: EndedThings },
    { name: "0008-login-sessions", class: LoginSessions },
    { name: "0009-audit", class: Audit },
    { name: "0010-imported", class: Imported },
  ],
};
