import { create, type DescMessage, type MessageInitShape } from "@bufbuild/protobuf";
import type { Database } from "#chassis/database/database.ts";
import { OrganizationSettingsSchema } from "#gen/sluice/auth/v1/organization_pb.ts";
import { TeamSettingsSchema } from "#gen/sluice/auth/v1/team_pb.ts";
import { Organization, Team } from "../db/entities.ts";
import { writeDoc } from "../stored-doc.ts";
import { now } from "./auth-fixture.ts";

/** The columns that every stored thing has. */
export function storedColumns<D extends DescMessage>(schema: D, settings: MessageInitShape<D>) {
  const at = new Date(now);
  const doc = writeDoc(schema, create(schema, settings));
  return { doc, createdAt: at, createdBy: "test", updatedAt: at, updatedBy: "test", version: 1 };
}

/** Stores a team, or what is new about it. */
export async function storeTeam(
  database: Database,
  teamId: string,
  settings: MessageInitShape<typeof TeamSettingsSchema> = {},
): Promise<void> {
  const organizationId = settings.organizationId ?? null;
  await database.em().upsert(Team, { teamId, organizationId, ...storedColumns(TeamSettingsSchema, settings) });
}

/** Stores an organization, unless it is there. */
export async function storeOrganization(database: Database, organizationId: string): Promise<void> {
  const row = { organizationId, organizationAlias: organizationId, ...storedColumns(OrganizationSettingsSchema, {}) };
  await database.em().upsert(Organization, row);
}
