import { randomUUID } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { gatewayError } from "#chassis/errors.ts";
import { UserSettingsSchema } from "#gen/sluice/auth/v1/user_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";
import { createdBy } from "./change.ts";
import { User, type UserRow } from "./db/entities.ts";
import { readUserSettings, userColumns, userTaken } from "./user-input.ts";

/** Somebody who joins a team or organization: a user's id, or its e-mail address. */
export interface NamedUser {
  readonly userId?: string | undefined;
  readonly userEmail?: string | undefined;
}

/** The users that were named, in that order, and who of them is new. */
export interface ResolvedUsers {
  readonly users: readonly UserRow[];
  readonly created: ReadonlySet<string>;
}

/**
 * Finds users by id, or by address where no id is given, and makes those that nobody knows. A user that is named twice is
 * there twice.
 *
 * @throws INVALID_REQUEST for one without id and address, CONFLICT where a new id has an address that is taken.
 */
export async function resolveUsers(
  em: SqlEntityManager,
  caller: AdminCaller,
  now: Date,
  named: readonly NamedUser[],
): Promise<ResolvedUsers> {
  if (named.some(({ userId, userEmail }) => !userId && !userEmail)) {
    throw gatewayError(Reason.INVALID_REQUEST, "Name each member by user_id or user_email.", { param: "member" });
  }
  const ids = named.flatMap(({ userId }) => userId || []);
  const addresses = named.flatMap(({ userId, userEmail }) => (userId ? [] : (userEmail ?? [])));
  const known = await em.find(User, { userId: { $in: [...ids, ...(await idsOfAddresses(em, addresses))] } });
  const byId = new Map(known.map((row) => [row.userId, row]));
  const byAddress = new Map(known.map((row) => [fold(row.userEmail), row]));
  const made: UserRow[] = [];
  const users = named.map(({ userId, userEmail }) => {
    const found = userId ? byId.get(userId) : byAddress.get(fold(userEmail));
    if (found !== undefined) return found;
    const settings = readUserSettings(create(UserSettingsSchema, { userEmail }));
    const row: UserRow = { userId: userId || randomUUID(), ...userColumns(settings), ...createdBy(caller, now) };
    byId.set(row.userId, row);
    if (userEmail) byAddress.set(fold(userEmail), row);
    made.push(row);
    return row;
  });
  await em.insertMany(User, made).catch((error: unknown) => {
    throw userTaken(error);
  });
  return { users, created: new Set(made.map(({ userId }) => userId)) };
}

/** The id of a user that is named by id or address. Undefined where no user has the address. */
export async function userIdOf(em: SqlEntityManager, { userId, userEmail }: NamedUser): Promise<string | undefined> {
  if (userId) return userId;
  if (userEmail) return (await idsOfAddresses(em, [userEmail]))[0];
  throw gatewayError(Reason.INVALID_REQUEST, "Name the member by user_id or user_email.", { param: "user_id" });
}

async function idsOfAddresses(em: SqlEntityManager, addresses: readonly string[]): Promise<string[]> {
  if (addresses.length === 0) return [];
  const marks = addresses.map(() => "lower(?)").join(", ");
  const rows = await em.execute(`select user_id from auth.internal_user where lower(user_email) in (${marks})`, [
    ...addresses,
  ]);
  return rows.map(({ user_id }) => String(user_id));
}

function fold(address: string | null | undefined): string {
  return (address ?? "").toLowerCase();
}
