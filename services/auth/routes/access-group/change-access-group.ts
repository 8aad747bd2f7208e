import { randomUUID } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { requireCaller } from "#chassis/access.ts";
import { isUniqueViolation } from "#chassis/database/database.ts";
import { gatewayError } from "#chassis/errors.ts";
import { type AccessGroupSettings, AccessGroupSettingsSchema } from "#gen/sluice/auth/v1/access_group_pb.ts";
import type { AccessGroupService } from "#gen/sluice/auth/v1/access_group_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { accessGroupKind, accessGroupViews, assignGroup, groupUsers } from "../../access-groups.ts";
import { change, createdBy } from "../../change.ts";
import type { RouteContext } from "../../context.ts";
import { AccessGroup, type AccessGroupRow } from "../../db/entities.ts";
import { lockThing, updateThing } from "../../kind.ts";
import { scopeOf } from "../../scope.ts";
import { keyIdOf } from "../../secret-key.ts";
import { pathsUnder, readDoc, writeDoc } from "../../stored-doc.ts";

export function createAccessGroup(context: RouteContext): ServiceImpl<typeof AccessGroupService>["createAccessGroup"] {
  return async (request, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const { settings, teamIds, keyIds } = split(request.settings);
    const now = new Date(context.clock());
    const row: AccessGroupRow = {
      accessGroupId: randomUUID(),
      accessGroupName: requireName(settings),
      doc: writeDoc(AccessGroupSettingsSchema, settings),
      ...createdBy(caller, now),
    };
    return change(context, caller, async (em) => {
      await em.insert(AccessGroup, row).catch((error: unknown) => {
        throw nameTaken(error);
      });
      await assignGroup(em, caller, now, row.accessGroupId, { teamIds, keyIds });
      const changed = [
        { scope: scopeOf.accessGroup(row.accessGroupId), action: "created" } as const,
        ...(await groupUsers(em, row)),
      ];
      return { result: await answer(em, row), changed };
    });
  };
}

export function updateAccessGroup(context: RouteContext): ServiceImpl<typeof AccessGroupService>["updateAccessGroup"] {
  return async (request, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const { settings, teamIds, keyIds } = split(request.settings);
    const paths = pathsUnder("settings", request.updateMask?.paths);
    const now = new Date(context.clock());
    return change(context, caller, async (em) => {
      const row = await lockThing(em, accessGroupKind, request.accessGroupId);
      const usersBefore = await groupUsers(em, row);
      updateThing(accessGroupKind, row, caller, now, {
        settings,
        paths: paths.filter((path) => !path.startsWith("assigned_")),
        version: request.version,
      });
      row.accessGroupName = requireName(readDoc(AccessGroupSettingsSchema, row.doc));
      await em.flush().catch((error: unknown) => {
        throw nameTaken(error);
      });
      const reassigned = await assignGroup(em, caller, now, row.accessGroupId, {
        ...(paths.includes("assigned_team_ids") ? { teamIds } : {}),
        ...(paths.includes("assigned_key_ids") ? { keyIds } : {}),
      });
      const changed = [
        { scope: scopeOf.accessGroup(row.accessGroupId), action: "updated" } as const,
        ...usersBefore,
        ...reassigned,
        ...(await groupUsers(em, row)),
      ];
      return { result: await answer(em, row), changed };
    });
  };
}

export function deleteAccessGroup(context: RouteContext): ServiceImpl<typeof AccessGroupService>["deleteAccessGroup"] {
  return async ({ accessGroupId }, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    return change(context, caller, async (em) => {
      const row = await lockThing(em, accessGroupKind, accessGroupId);
      const result = await answer(em, row);
      const users = await groupUsers(em, row);
      await assignGroup(em, caller, new Date(context.clock()), accessGroupId, { teamIds: [], keyIds: [] });
      await em.nativeDelete(AccessGroup, { accessGroupId });
      return { result, changed: [{ scope: scopeOf.accessGroup(accessGroupId), action: "deleted" }, ...users] };
    });
  };
}

async function answer(em: SqlEntityManager, row: AccessGroupRow) {
  const [group] = await accessGroupViews(em, [row]);
  return { group };
}

/** What is stored with the group, and what with teams and keys. */
function split(given: AccessGroupSettings | undefined) {
  const settings = given ?? create(AccessGroupSettingsSchema);
  if (settings.accessModelNames.includes("")) {
    throw gatewayError(Reason.INVALID_REQUEST, "access_model_names must hold no empty name.", {
      param: "access_model_names",
    });
  }
  settings.accessModelNames = [...new Set(settings.accessModelNames)];
  const teamIds = [...new Set(settings.assignedTeamIds)];
  const keyIds = [...new Set(settings.assignedKeyIds.map(keyIdOf))];
  settings.assignedTeamIds = [];
  settings.assignedKeyIds = [];
  return { settings, teamIds, keyIds };
}

function requireName({ accessGroupName }: AccessGroupSettings): string {
  if (accessGroupName) return accessGroupName;
  throw gatewayError(Reason.INVALID_REQUEST, "access_group_name is required.", { param: "access_group_name" });
}

function nameTaken(error: unknown): unknown {
  if (!isUniqueViolation(error, "access_group_name")) return error;
  return gatewayError(Reason.CONFLICT, "An access group with this name exists already.", {
    param: "access_group_name",
  });
}
