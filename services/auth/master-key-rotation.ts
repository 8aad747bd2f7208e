import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { isProxyAdmin } from "#chassis/caller-header.ts";
import { isUniqueViolation } from "#chassis/database/database.ts";
import { addDuration, parseDuration } from "#chassis/duration.ts";
import { gatewayError } from "#chassis/errors.ts";
import { Secret } from "#chassis/secret.ts";
import { KeySchema, KeySettingsSchema } from "#gen/sluice/auth/v1/key_pb.ts";
import {
  type RegenerateKeyRequest,
  type RegenerateKeyResponse,
  RegenerateKeyResponseSchema,
} from "#gen/sluice/auth/v1/key_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";
import { change, nameOf } from "./change.ts";
import type { RouteContext } from "./context.ts";
import { KeyWrapping, MasterKeyRotation, RetiredKey, VirtualKey } from "./db/entities.ts";
import { lockKeyring, replaceWrapping } from "./keyring.ts";
import { scopeOf } from "./scope.ts";
import { hashKey, nameOf as shownOf } from "./secret-key.ts";

/** What travels in a header and is not guessed at once. */
const masterKeyForm = /^[\x21-\x7e]{4,512}$/;

/**
 * Replaces the master key. Everything that a database holds of it changes in one transaction: which key took the place of
 * which, and, unless a salt key seals them, under what the key of stored secrets is wrapped.
 *
 * @throws PERMISSION_DENIED, INVALID_REQUEST for a key that cannot be one, CONFLICT where somebody else was first.
 */
export async function rotateMasterKey(
  context: RouteContext,
  caller: AdminCaller,
  request: RegenerateKeyRequest,
): Promise<RegenerateKeyResponse> {
  const { masterKeys, config, clock, telemetry } = context;
  if (!isProxyAdmin(caller)) {
    throw gatewayError(Reason.PERMISSION_DENIED, "Only an administrator may replace the master key.");
  }
  const key = readNewKey(request);
  const [oldHash, newHash] = [hashKey(request.key), hashKey(key.reveal())];
  const now = new Date(clock());
  const oldUntil = addDuration(now, parseDuration(request.gracePeriod || config.rotation.masterGrace));
  await change(context, caller, async (em) => {
    await lockKeyring(em);
    await masterKeys.refresh(em);
    await requireCurrent(context, em, oldHash);
    await requireUnused(context, em, newHash);
    await em
      .insert(MasterKeyRotation, { oldHash, newHash, rotatedAt: now, rotatedBy: nameOf(caller), oldUntil })
      .catch((error: unknown) => {
        throw isUniqueViolation(error, "master_key_rotation_pkey") ? replacedMeanwhile(now) : error;
      });
    await rewrap(context, em, key, now, oldUntil);
    return {
      result: undefined,
      changed: [
        { scope: scopeOf.key(oldHash), action: "rotated" },
        { scope: scopeOf.key(newHash), action: "created" },
      ],
    };
  });
  await masterKeys.refresh().catch(() => undefined);
  await masterKeys.configured?.keep?.(key).catch(telemetry.masterKeyNotKept);
  return answer(key, newHash, { now, oldUntil, by: nameOf(caller) });
}

function readNewKey(request: RegenerateKeyRequest): Secret {
  const { key, newMasterKey = "", updateMask, newKey, duration, spend, version } = request;
  if (!masterKeyForm.test(newMasterKey)) {
    throw invalid("new_master_key", "new_master_key must have at least 4 printable characters and no spaces.");
  }
  if (newMasterKey === key) throw invalid("new_master_key", "new_master_key is the master key already.");
  const other = [newKey, duration, spend, version, updateMask?.paths[0]].some((value) => value !== undefined);
  if (other) {
    throw invalid("new_master_key", "With new_master_key only key and grace_period can be given: it has no settings.");
  }
  return new Secret(newMasterKey);
}

async function requireCurrent({ masterKeys }: RouteContext, em: SqlEntityManager, hash: string): Promise<void> {
  const rotation = await em.findOne(MasterKeyRotation, { oldHash: hash });
  if (rotation !== null) throw replacedMeanwhile(rotation.rotatedAt);
  if (hash !== masterKeys.current) {
    throw invalid("key", "With new_master_key, key must be the current master key, itself and not its hash.");
  }
}

/** A master key is nobody else's key, and was none before: the old one must not come back by a backup of a configuration. */
async function requireUnused({ masterKeys }: RouteContext, em: SqlEntityManager, hash: string): Promise<void> {
  const was = await em.count(MasterKeyRotation, { $or: [{ oldHash: hash }, { newHash: hash }] });
  if (was > 0 || hash === masterKeys.configured?.hash) {
    throw invalid("new_master_key", "new_master_key was a master key before. Choose another one.");
  }
  const keys = await em.count(VirtualKey, { keyId: hash });
  if (keys + (await em.count(RetiredKey, { retiredKeyId: hash })) > 0) {
    throw invalid("new_master_key", "new_master_key is a virtual key. Choose another one.");
  }
}

/** Where a salt key seals, nothing is to be done. */
async function rewrap(
  { keyring }: RouteContext,
  em: SqlEntityManager,
  key: Secret,
  now: Date,
  oldUntil: Date,
): Promise<void> {
  if ((await em.count(KeyWrapping, { kind: "salt" })) > 0) return;
  const { id, wrapped } = keyring.wrap(key);
  await replaceWrapping(em, { wrappingId: id, kind: "master", wrapped }, now, oldUntil);
}

function answer(key: Secret, token: string, made: { now: Date; oldUntil: Date; by: string }): RegenerateKeyResponse {
  const at = timestampFromDate(made.now);
  return create(RegenerateKeyResponseSchema, {
    key: key.reveal(),
    tokenId: token,
    stored: create(KeySchema, {
      token,
      keyName: shownOf(key.reveal()),
      settings: create(KeySettingsSchema, { metadata: Buffer.from("{}"), blocked: false }),
      createdAt: at,
      createdBy: made.by,
      updatedAt: at,
      updatedBy: made.by,
      lastRotationAt: at,
      version: 1,
    }),
    oldKeyExpires: timestampFromDate(made.oldUntil),
  });
}

function replacedMeanwhile(at: Date) {
  return gatewayError(
    Reason.CONFLICT,
    `This master key was replaced on ${at.toISOString()}. Use the one that took its place.`,
    { param: "key" },
  );
}

function invalid(param: string, message: string) {
  return gatewayError(Reason.INVALID_REQUEST, message, { param });
}
