import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { isUniqueViolation } from "#chassis/database/database.ts";
import { gatewayError } from "#chassis/errors.ts";
import type { KeySettings } from "#gen/sluice/auth/v1/key_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";
import { createdBy } from "./change.ts";
import type { RouteContext } from "./context.ts";
import { MasterKeyRotation, RetiredKey, VirtualKey, type VirtualKeyRow } from "./db/entities.ts";
import { keyColumns, readExpiry, rotationDue } from "./key-input.ts";
import { hashKey, mintKey, nameOf } from "./secret-key.ts";

/** A key that is made and not stored yet. */
export interface NewKey {
  /** The key itself: shown once, stored never. */
  readonly key: string;
  readonly row: VirtualKeyRow;
}

/** Makes a key, a random one where none is chosen. The settings were read by `readKeySettings`. */
export function makeKey(
  { config, clock }: RouteContext,
  caller: AdminCaller,
  settings: KeySettings,
  options: { readonly key?: string | undefined; readonly duration?: string | undefined } = {},
): NewKey {
  const now = new Date(clock());
  const key = options.key ?? mintKey(config.keyBytes);
  const row: VirtualKeyRow = {
    ...keyColumns(settings),
    ...createdBy(caller, now),
    keyId: hashKey(key),
    keyName: nameOf(key),
    expiresAt: readExpiry(options.duration, now),
    rotationCount: 0,
    rotatedAt: null,
    rotateAt: rotationDue(settings, now),
  };
  return { key, row };
}

/** Stores a new key. @throws CONFLICT where the key or its alias exists already; the master key exists always. */
export async function storeKey(context: RouteContext, em: SqlEntityManager, { row }: NewKey): Promise<void> {
  await requireFreeKey(context, em, row.keyId);
  await em.insert(VirtualKey, row).catch((error: unknown) => {
    throw keyTaken(error, row.keyAlias ?? "");
  });
}

/** @throws CONFLICT where a key is or was the master key, exists, or was replaced by another one that it stands for. */
export async function requireFreeKey({ masterKeys }: RouteContext, em: SqlEntityManager, keyId: string): Promise<void> {
  const isTaken =
    keyId === masterKeys.configured?.hash ||
    (await em.count(MasterKeyRotation, { $or: [{ oldHash: keyId }, { newHash: keyId }] })) > 0 ||
    (await em.count(VirtualKey, { keyId })) > 0 ||
    (await em.count(RetiredKey, { retiredKeyId: keyId })) > 0;
  if (isTaken) throw keyExists();
}

/** What an insert or update of a key has failed with, in the words of a client. */
export function keyTaken(error: unknown, alias: string): unknown {
  if (isUniqueViolation(error, "virtual_key_pkey")) return keyExists();
  if (!isUniqueViolation(error, "virtual_key_alias")) return error;
  return gatewayError(Reason.CONFLICT, `Key with alias '${alias}' already exists. Aliases are unique among all keys.`, {
    param: "key_alias",
  });
}

function keyExists() {
  return gatewayError(Reason.CONFLICT, "This key exists already. Choose another one.", { param: "key" });
}
