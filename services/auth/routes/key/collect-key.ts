import type { ServiceImpl } from "@connectrpc/connect";
import { LockMode } from "@mikro-orm/core";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { requireCaller } from "#chassis/access.ts";
import { gatewayError } from "#chassis/errors.ts";
import type { KeyService } from "#gen/sluice/auth/v1/key_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";
import { change } from "../../change.ts";
import type { RouteContext } from "../../context.ts";
import { RetiredKey, VirtualKey, type VirtualKeyRow, WaitingKey } from "../../db/entities.ts";
import { mayManageKey, permittedTeams, requireKeyRight } from "../../key-rights.ts";
import { scopeOf } from "../../scope.ts";
import { keyIdOf } from "../../secret-key.ts";

export function collectKey(context: RouteContext): ServiceImpl<typeof KeyService>["collectKey"] {
  return async (request, { requestHeader }) => {
    const caller = requireCaller(requestHeader);
    const named = request.key === "" ? caller.keyId : keyIdOf(request.key);
    return change(context, caller, async (em) => {
      const row = await findKey(em, named);
      const permitted = await permittedTeams(em, caller, "regenerate", [row?.teamId]);
      requireKeyRight(mayCollect(caller, row, named, permitted));
      const keyId = row?.keyId ?? named;
      const waiting = await em.findOne(WaitingKey, { keyId }, { lockMode: LockMode.PESSIMISTIC_WRITE });
      if (waiting === null) {
        throw gatewayError(Reason.NOT_FOUND, "No new key waits to be collected.", { param: "key" });
      }
      const key = open(waiting.sealed);
      await em.nativeDelete(WaitingKey, { keyId });
      return { result: { key, token: keyId }, changed: [{ scope: scopeOf.key(keyId), action: "collected" }] };
    });
  };

  function open(sealed: string): string {
    try {
      return context.keyring.open(Buffer.from(sealed, "base64")).reveal();
    } catch (cause) {
      const message = "The salt key has changed since this key was made. Regenerate the key.";
      throw gatewayError(Reason.CONFLICT, message, { param: "key", cause });
    }
  }
}

/**
 * The holder of a key may, under its old hash too: for a moment after the rotation the edge knows it by no other. A proxy
 * admin learns that there is no such key; to anybody else it is the same as somebody else's.
 */
function mayCollect(
  caller: AdminCaller,
  row: VirtualKeyRow | undefined,
  named: string,
  permitted: ReadonlySet<string>,
): boolean {
  if (row !== undefined && (caller.keyId === row.keyId || caller.keyId === named)) return true;
  return mayManageKey(caller, row ?? { keyId: "" }, permitted);
}

async function findKey(em: SqlEntityManager, keyId: string): Promise<VirtualKeyRow | undefined> {
  const retired = await em.findOne(RetiredKey, { retiredKeyId: keyId });
  return (await em.findOne(VirtualKey, { keyId: retired?.keyId ?? keyId })) ?? undefined;
}
