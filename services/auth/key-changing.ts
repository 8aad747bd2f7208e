import { create, equals } from "@bufbuild/protobuf";
import { LockMode } from "@mikro-orm/core";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { gatewayError } from "#chassis/errors.ts";
import { type Key, type KeySettings, KeySettingsSchema } from "#gen/sluice/auth/v1/key_pb.ts";
import type { UpdateKeyRequest } from "#gen/sluice/auth/v1/key_service_pb.ts";
import { LimitsSchema } from "#gen/sluice/auth/v1/limits_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";
import { change, touch } from "./change.ts";
import type { RouteContext } from "./context.ts";
import { VirtualKey, type VirtualKeyRow } from "./db/entities.ts";
import { keyColumns, readExpiry, readKeySettings, rotationDue } from "./key-input.ts";
import { keyTaken } from "./key-making.ts";
import { type KeyTeam, placeKey, requirePlace, requireTeamModels, requireThroughput } from "./key-place.ts";
import { requireChangeWithinPolicy } from "./key-policy.ts";
import {
  isKeyAdmin,
  type KeyAction,
  mayAdministerKey,
  mayManageKey,
  type PermittedTeams,
  permittedTeams,
  requireKeyRight,
} from "./key-rights.ts";
import { keyView } from "./key-view.ts";
import { scopeOf } from "./scope.ts";
import { setSpend, spentByOne } from "./scope-spend.ts";
import { keyIdOf } from "./secret-key.ts";
import { patch, pathsUnder, readDoc } from "./stored-doc.ts";
import { requireVersion } from "./version.ts";

/** What a request says about changing a key, beside which key it is. */
export type KeyUpdate = Pick<UpdateKeyRequest, "settings" | "updateMask" | "duration" | "spend" | "version">;

/** A key that is locked for a change, and the teams whose plain members may make it. */
export interface LockedKey {
  readonly row: VirtualKeyRow;
  readonly permitted: PermittedTeams;
}

/** Changes one key, in a transaction of its own. */
export async function updateKeyFor(
  context: RouteContext,
  caller: AdminCaller,
  key: string,
  update: KeyUpdate,
  action: KeyAction,
): Promise<Key> {
  const keyId = keyIdOf(key);
  const row = await change(context, caller, async (em) => {
    const locked = await lockKey(em, caller, keyId, action);
    await applyUpdate(context, em, caller, locked, update);
    return { result: locked.row, changed: [{ scope: scopeOf.key(keyId), action: "updated" }] };
  });
  if (update.spend !== undefined) await setSpend(context, caller, scopeOf.key(keyId), update.spend);
  return keyView(row, await spentByOne(context, scopeOf.key(keyId)));
}

/**
 * Locks a key until the end of the transaction, for somebody who may manage it.
 *
 * @param right What else than `mayManageKey` the caller needs.
 * @throws PERMISSION_DENIED, or NOT_FOUND where the caller may know that.
 */
export async function lockKey(
  em: SqlEntityManager,
  caller: AdminCaller,
  keyId: string,
  action: KeyAction,
  right: typeof mayManageKey = mayManageKey,
): Promise<LockedKey> {
  const row = await em.findOne(VirtualKey, { keyId }, { lockMode: LockMode.PESSIMISTIC_WRITE });
  const permitted = await permittedTeams(em, caller, action, [row?.teamId]);
  requireKeyRight(right(caller, row ?? { keyId }, permitted));
  if (row === null) throw gatewayError(Reason.NOT_FOUND, "Key not found in database.", { param: "key" });
  return { row, permitted };
}

/** Applies an update to a locked key, after every check, and writes it. */
export async function applyUpdate(
  context: RouteContext,
  em: SqlEntityManager,
  caller: AdminCaller,
  { row, permitted }: LockedKey,
  { settings: given, updateMask, duration, spend, version }: KeyUpdate,
): Promise<void> {
  requireVersion(row.version, version);
  const now = new Date(context.clock());
  const paths = pathsUnder("settings", updateMask?.paths);
  const before = readDoc(KeySettingsSchema, row.doc);
  const after = readKeySettings(patch(KeySettingsSchema, before, given, paths));
  const asked = paths.includes("organization_id") ? after.organizationId : undefined;
  const team = await placeKey(em, after);
  requireUpdateRight(caller, permitted, row, before, after);
  requireKeyRight(spend === undefined || mayAdministerKey(caller, row, permitted));
  requireChangeWithinPolicy(context.config.keyPolicy, before, after, duration);
  await requireNewPlace(em, row.keyId, paths, after, team, asked);
  em.assign(row, keyColumns(after));
  if (duration !== undefined) row.expiresAt = readExpiry(duration, now);
  row.rotateAt = rotationDue(after, row.rotatedAt ?? row.createdAt);
  touch(row, caller, now);
  await em.flush().catch((error: unknown) => {
    throw keyTaken(error, after.keyAlias ?? "");
  });
}

/** Whoever may manage the key as it is and as it will be; what administrators decide, only they. */
function requireUpdateRight(
  caller: AdminCaller,
  permitted: PermittedTeams,
  row: VirtualKeyRow,
  before: KeySettings,
  after: KeySettings,
): void {
  const changed = { keyId: row.keyId, ...after };
  requireKeyRight(mayManageKey(caller, changed, permitted));
  if (isKeyAdmin(caller, row) && isKeyAdmin(caller, changed)) return;
  requireKeyRight(after.userId === (row.userId ?? undefined) || after.userId === caller.userId);
  if (decidedByAdmins(before, after)) requireKeyRight(mayAdministerKey(caller, row, permitted));
}

/** Whether an update changes what a user may not change of its own key. */
function decidedByAdmins(before: KeySettings, after: KeySettings): boolean {
  const limits = (settings: KeySettings) => settings.limits ?? create(LimitsSchema);
  return (
    !equals(LimitsSchema, limits(before), limits(after)) ||
    (before.blocked ?? false) !== (after.blocked ?? false) ||
    before.organizationId !== after.organizationId ||
    before.projectId !== after.projectId ||
    before.tags.join("\n") !== after.tags.join("\n") ||
    before.tempBudgetIncrease !== after.tempBudgetIncrease ||
    before.tempBudgetExpiry?.seconds !== after.tempBudgetExpiry?.seconds
  );
}

const placePaths: ReadonlySet<string> = new Set(["team_id", "organization_id", "project_id", "limits.budget_id"]);
const throughputPaths: ReadonlySet<string> = new Set([
  "team_id",
  "limits.max_budget",
  "limits.rpm_limit",
  "limits.tpm_limit",
  "limits.model_rpm_limit",
  "limits.model_tpm_limit",
  "rpm_limit_type",
  "tpm_limit_type",
]);

/** What an update does not touch stays as it is, also where it would not be allowed today. */
async function requireNewPlace(
  em: SqlEntityManager,
  keyId: string,
  paths: readonly string[],
  after: KeySettings,
  team: KeyTeam | undefined,
  asked: string | undefined,
): Promise<void> {
  if (paths.some((path) => placePaths.has(path) || path === "limits")) await requirePlace(em, after, team, asked);
  if (team === undefined) return;
  if (paths.includes("team_id") || paths.includes("models")) await requireTeamModels(em, after, team);
  if (paths.some((path) => throughputPaths.has(path) || path === "limits")) {
    await requireThroughput(em, after, team, keyId);
  }
}
