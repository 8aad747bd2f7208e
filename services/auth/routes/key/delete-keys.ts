import type { ServiceImpl } from "@connectrpc/connect";
import { LockMode } from "@mikro-orm/core";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { requireCaller } from "#chassis/access.ts";
import { gatewayError } from "#chassis/errors.ts";
import type { DeleteKeysRequest, KeyService } from "#gen/sluice/auth/v1/key_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";
import { change, nameOf } from "../../change.ts";
import type { RouteContext } from "../../context.ts";
import { DeletedKey, VirtualKey, type VirtualKeyRow, WaitingKey } from "../../db/entities.ts";
import { oneForm } from "../../key-input.ts";
import { mayManageKey, permittedTeams, requireKeyRight } from "../../key-rights.ts";
import { scopeOf } from "../../scope.ts";
import { keyIdOf } from "../../secret-key.ts";

/** The keys to delete, by what identifies them in the database; the values are as the caller wrote them. */
interface Selection {
  readonly by: "keyId" | "keyAlias";
  readonly names: ReadonlyMap<string, string>;
}

const batchSize = 1000;
const lock = { lockMode: LockMode.PESSIMISTIC_WRITE } as const;

export function deleteKeys(context: RouteContext): ServiceImpl<typeof KeyService>["deleteKeys"] {
  return async (request, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const { by, names } = select(request);
    const deleted = await change(context, caller, async (em) => {
      const rows = await em.find(VirtualKey, { [by]: { $in: [...names.keys()] } }, lock);
      if (rows.length === 0) throw gatewayError(Reason.NOT_FOUND, "No such key.", { param: paramOf(by) });
      const teamIds = rows.map(({ teamId }) => teamId);
      const permitted = await permittedTeams(em, caller, "delete", teamIds);
      for (const row of rows) requireKeyRight(mayManageKey(caller, row, permitted));
      await removeKeys(em, caller, rows, new Date(context.clock()));
      return { result: rows, changed: rows.map(({ keyId }) => ({ scope: scopeOf.key(keyId), action: "deleted" })) };
    });
    return { deletedKeys: deleted.map((row) => names.get(row[by] ?? "") ?? row.keyId) };
  };
}

/**
 * Deletes keys, with a copy of each row for the list of deleted keys. Hashes that stood for them stay until their grace
 * ends, so that the change is announced for them too; they stand for nothing.
 */
export async function removeKeys(
  em: SqlEntityManager,
  caller: AdminCaller,
  rows: readonly VirtualKeyRow[],
  now: Date,
): Promise<void> {
  // A statement takes 65,535 parameters, and a team may have more keys than that.
  for (let from = 0; from < rows.length; from += batchSize) {
    const batch = rows.slice(from, from + batchSize);
    const keyIds = batch.map(({ keyId }) => keyId);
    await em.insertMany(
      DeletedKey,
      batch.map((row) => ({ keyId: row.keyId, row: { ...row }, deletedAt: now, deletedBy: nameOf(caller) })),
    );
    await em.nativeDelete(WaitingKey, { keyId: { $in: keyIds } });
    await em.nativeDelete(VirtualKey, { keyId: { $in: keyIds } });
  }
}

function select({ keys, keyAliases }: DeleteKeysRequest): Selection {
  if ((keys.length === 0) === (keyAliases.length === 0)) {
    throw gatewayError(Reason.INVALID_REQUEST, "Name the keys by either keys or key_aliases.", { param: "keys" });
  }
  const by = keys.length > 0 ? "keyId" : "keyAlias";
  const names =
    by === "keyId"
      ? keys.map((key) => [keyIdOf(key), key] as const)
      : keyAliases.map((alias) => [oneForm(alias), alias] as const);
  return { by, names: new Map(names) };
}

function paramOf(by: Selection["by"]): string {
  return by === "keyId" ? "keys" : "key_aliases";
}
