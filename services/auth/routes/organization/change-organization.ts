import { randomUUID } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { requireCaller } from "#chassis/access.ts";
import { isProxyAdmin } from "#chassis/caller-header.ts";
import { gatewayError } from "#chassis/errors.ts";
import { type OrganizationSettings, OrganizationSettingsSchema } from "#gen/sluice/auth/v1/organization_pb.ts";
import type { OrganizationService } from "#gen/sluice/auth/v1/organization_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { requireBudget } from "../../budgets.ts";
import { change, createdBy } from "../../change.ts";
import type { RouteContext } from "../../context.ts";
import type { OrganizationRow } from "../../db/entities.ts";
import { insertThing, lockThing, requireId, updateThing } from "../../kind.ts";
import {
  mayManageOrganization,
  oneOrganizationView,
  organizationKind,
  requireOrganizationRight,
} from "../../organizations.ts";
import { scopeOf } from "../../scope.ts";
import { pathsUnder, readDoc, writeDoc } from "../../stored-doc.ts";
import { readModels } from "../../team-input.ts";

export function createOrganization(
  context: RouteContext,
): ServiceImpl<typeof OrganizationService>["createOrganization"] {
  return async (request, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const settings = readSettings(request.settings ?? create(OrganizationSettingsSchema));
    const row: OrganizationRow = {
      organizationId: request.organizationId || randomUUID(),
      organizationAlias: requireAlias(settings),
      doc: {},
      ...createdBy(caller, new Date(context.clock())),
    };
    await change(context, caller, async (em) => {
      await requireBudget(em, settings.limits);
      row.doc = writeDoc(OrganizationSettingsSchema, settings);
      await insertThing(em, organizationKind, row);
      const scope = scopeOf.organization(row.organizationId);
      return { result: undefined, changed: [{ scope, action: "created" }] };
    });
    return { organization: await oneOrganizationView(context, row) };
  };
}

/** What an admin of the organization changes of it. */
const ownPaths: ReadonlySet<string> = new Set(["organization_alias", "metadata"]);

export function updateOrganization(
  context: RouteContext,
): ServiceImpl<typeof OrganizationService>["updateOrganization"] {
  return async (request, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const organizationId = requireId(organizationKind, request.organizationId);
    requireOrganizationRight(mayManageOrganization(caller, organizationId));
    const paths = pathsUnder("settings", request.updateMask?.paths);
    const foreign = isProxyAdmin(caller) ? undefined : paths.find((path) => !ownPaths.has(path));
    requireOrganizationRight(foreign === undefined, foreign?.split(".").at(-1));
    const settings = request.settings && readSettings(request.settings);
    const changed = await change(context, caller, async (em) => {
      const row = await lockThing(em, organizationKind, organizationId);
      await requireBudget(em, settings?.limits);
      const { version } = request;
      updateThing(organizationKind, row, caller, new Date(context.clock()), { settings, paths, version });
      row.organizationAlias = requireAlias(readDoc(OrganizationSettingsSchema, row.doc));
      return { result: row, changed: [{ scope: scopeOf.organization(organizationId), action: "updated" }] };
    });
    return { organization: await oneOrganizationView(context, changed) };
  };
}

function readSettings(settings: OrganizationSettings): OrganizationSettings {
  settings.models = readModels(settings.models);
  if (settings.metadata?.length === 0) delete settings.metadata;
  return settings;
}

function requireAlias({ organizationAlias }: OrganizationSettings): string {
  if (organizationAlias) return organizationAlias;
  throw gatewayError(Reason.INVALID_REQUEST, "organization_alias is required.", { param: "organization_alias" });
}
