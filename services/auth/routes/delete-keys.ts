import type { ServiceImpl } from "@connectrpc/connect";
import { LockMode } from "@mikro-orm/core";
import { databaseError } from "#chassis/database/database.ts";
import { gatewayError } from "#chassis/errors.ts";
import type { DeleteKeysRequest, KeyService } from "#gen/sluice/auth/v1/key_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { requireMaster } from "../admin-caller.ts";
import type { AuthContext } from "../context.ts";
import { VirtualKey } from "../db/entities.ts";
import type { AuthTelemetry } from "../events.ts";
import type { KeyAnnouncer } from "../outbox.ts";
import { keyIdOf } from "../secret-key.ts";

/** The keys to delete, by what identifies them in the database; the values are as the caller wrote them. */
interface Selection {
  readonly by: "keyId" | "keyAlias";
  readonly names: ReadonlyMap<string, string>;
}

const maxNames = 1000;

export function deleteKeys(
  { database }: AuthContext,
  announcer: KeyAnnouncer,
  telemetry: AuthTelemetry,
): ServiceImpl<typeof KeyService>["deleteKeys"] {
  return async (request, { requestHeader }) => {
    const caller = requireMaster(requestHeader);
    const { by, names } = select(request);
    const deleted = await remove(by, [...names.keys()]);
    if (deleted.length === 0) throw gatewayError(Reason.NOT_FOUND, "No such key.", { param: paramOf(by) });
    await announcer.announce();
    telemetry.keysDeleted(
      deleted.map(({ keyId }) => keyId),
      caller.keyId,
    );
    return { deletedKeys: deleted.map((row) => names.get(row[by] ?? "") ?? row.keyId) };
  };

  async function remove(by: Selection["by"], values: string[]) {
    try {
      return await database.transaction(async (em) => {
        const rows = await em.find(VirtualKey, { [by]: { $in: values } }, { lockMode: LockMode.PESSIMISTIC_WRITE });
        if (rows.length === 0) return [];
        const keyIds = rows.map(({ keyId }) => keyId);
        await em.nativeDelete(VirtualKey, { keyId: { $in: keyIds } });
        await announcer.note(em, keyIds);
        return rows;
      });
    } catch (error) {
      throw databaseError(error);
    }
  }
}

function select({ keys, keyAliases }: DeleteKeysRequest): Selection {
  if ((keys.length === 0) === (keyAliases.length === 0)) {
    throw gatewayError(Reason.INVALID_REQUEST, "Name the keys by either keys or key_aliases.", { param: "keys" });
  }
  const by = keys.length > 0 ? "keyId" : "keyAlias";
  if (keys.length + keyAliases.length > maxNames) {
    throw gatewayError(Reason.INVALID_REQUEST, `Name at most ${maxNames} keys.`, { param: paramOf(by) });
  }
  const names = by === "keyId" ? keys.map((key) => [keyIdOf(key), key] as const) : keyAliases.map(storable);
  return { by, names: new Map(names) };
}

/** A NUL cannot be in the database, nor in a statement. */
function storable(alias: string): readonly [string, string] {
  return [alias.replaceAll("\0", "\ufffd"), alias];
}

function paramOf(by: Selection["by"]): string {
  return by === "keyId" ? "keys" : "key_aliases";
}
