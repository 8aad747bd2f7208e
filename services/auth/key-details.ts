import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import type { Key } from "#gen/sluice/auth/v1/key_pb.ts";
import { type KeyDetails, KeyDetailsSchema } from "#gen/sluice/auth/v1/key_service_pb.ts";
import type { User as UserMessage } from "#gen/sluice/auth/v1/user_service_pb.ts";
import type { RouteContext } from "./context.ts";
import { DeletedKey, User, VirtualKey, type VirtualKeyRow } from "./db/entities.ts";
import { keyViews } from "./key-view.ts";
import { userViews } from "./user-view.ts";

/** The keys with these hashes, in their order. */
export async function liveDetails(
  context: RouteContext,
  em: SqlEntityManager,
  keyIds: readonly string[],
  expand: boolean,
): Promise<KeyDetails[]> {
  const byId = new Map((await em.find(VirtualKey, { keyId: { $in: [...keyIds] } })).map((row) => [row.keyId, row]));
  // One that was deleted between the two questions is left out.
  const rows = keyIds.flatMap((keyId) => byId.get(keyId) ?? []);
  const users = await usersOf(context, em, expand ? rows : []);
  return (await keyViews(context, rows)).map((key) => details(key, users));
}

/** The deleted keys with these ids, in their order. */
export async function deletedDetails(
  context: RouteContext,
  em: SqlEntityManager,
  ids: readonly string[],
  expand: boolean,
): Promise<KeyDetails[]> {
  const found = ids.length === 0 ? [] : await em.find(DeletedKey, { id: { $in: ids.map(BigInt) } });
  const byId = new Map(found.map((each) => [String(each.id), each]));
  const deleted = ids.flatMap((id) => byId.get(id) ?? []);
  const rows = deleted.map(({ row }) => revived(row));
  const users = await usersOf(context, em, expand ? rows : []);
  return (await keyViews(context, rows)).map((key, at) => {
    const whole = details(key, users);
    const { deletedAt, deletedBy } = deleted[at] ?? {};
    if (deletedAt !== undefined) whole.deletedAt = timestampFromDate(deletedAt);
    if (deletedBy !== undefined) whole.deletedBy = deletedBy;
    return whole;
  });
}

/** A row whose JSON was kept: its dates are texts. */
function revived(kept: object): VirtualKeyRow {
  const row = kept as VirtualKeyRow;
  const date = (text: Date | null | undefined) => (text == null ? null : new Date(text));
  return {
    ...row,
    expiresAt: date(row.expiresAt),
    rotatedAt: date(row.rotatedAt),
    rotateAt: date(row.rotateAt),
    createdAt: new Date(row.createdAt),
    updatedAt: new Date(row.updatedAt),
  };
}

function details(key: Key, users: ReadonlyMap<string, UserMessage>): KeyDetails {
  const { userId, organizationId } = key.settings ?? {};
  return create(KeyDetailsSchema, {
    key,
    orgId: organizationId,
    user: userId === undefined ? undefined : users.get(userId),
    createdByUser: users.get(key.createdBy),
  });
}

/** Users of keys and users who made keys, by id. */
async function usersOf(
  context: RouteContext,
  em: SqlEntityManager,
  rows: readonly VirtualKeyRow[],
): Promise<Map<string, UserMessage>> {
  const userIds = [...new Set(rows.flatMap(({ userId, createdBy }) => (userId ? [userId, createdBy] : [createdBy])))];
  if (userIds.length === 0) return new Map();
  const found = await em.find(User, { userId: { $in: userIds } });
  return new Map((await userViews(context, em, found)).map((user) => [user.userId, user]));
}
