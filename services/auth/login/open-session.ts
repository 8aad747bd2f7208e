import { randomUUID } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import { LockMode } from "@mikro-orm/core";
import type { SqlEntityManager } from "@mikro-orm/postgresql";
import { findGatewayError, gatewayError } from "#chassis/errors.ts";
import { hashSessionToken, mintSessionToken } from "#chassis/session-token.ts";
import { UserSettingsSchema } from "#gen/sluice/auth/v1/user_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { AdminCallerSchema, Role } from "#gen/sluice/rest/v1/caller_pb.ts";
import { type Changed, change, createdBy, touch } from "../change.ts";
import type { RouteContext } from "../context.ts";
import { LoginSession, User, type UserRow } from "../db/entities.ts";
import { userIdOf } from "../member-users.ts";
import { insertUser } from "../routes/user/create-user.ts";
import { scopeOf } from "../scope.ts";
import { readDoc } from "../stored-doc.ts";
import { userColumns, userTaken } from "../user-input.ts";
import type { LoginIdentity } from "./provider-claims.ts";
import type { LoginSettings } from "./settings.ts";

export interface NewSession {
  readonly token: string;
  readonly expiresAt: Date;
}

/** Who makes users that log in, and gives them roles: `sso` stands in the columns of what was made and changed so. */
export const ssoCaller = create(AdminCallerSchema, { keyId: "sso", roles: [Role.PROXY_ADMIN] });

/** Sessions of one user; the oldest one ends when there would be more. */
const maxSessions = 50;

/**
 * Opens a session of the user whom a provider names, whom it makes where nobody knows the user: by the provider's id, or by
 * a verified e-mail address.
 *
 * @param address The network address that the browser came from.
 * @throws PERMISSION_DENIED where the user is blocked.
 */
export async function openSession(
  context: RouteContext,
  settings: LoginSettings,
  identity: LoginIdentity,
  address: string,
): Promise<NewSession> {
  const run = () => tryOpen(context, settings, identity, address);
  // Two first logins of one person at once: the second finds whom the first has made.
  return run().catch((error: unknown) => {
    if (findGatewayError(ConnectError.from(error))?.reason === Reason.CONFLICT) return run();
    throw error;
  });
}

async function tryOpen(
  context: RouteContext,
  settings: LoginSettings,
  identity: LoginIdentity,
  address: string,
): Promise<NewSession> {
  const now = new Date(context.clock());
  const token = mintSessionToken();
  const expiresAt = new Date(now.getTime() + settings.sessionMs);
  await change(context, { ...ssoCaller, address }, async (em) => {
    const changed: Changed[] = [];
    const user = await findOrMake(em, settings, identity, now, changed);
    if (readDoc(UserSettingsSchema, user.doc).blocked === true) {
      throw gatewayError(Reason.PERMISSION_DENIED, "You may not log in here: your user is blocked.", { param: "user" });
    }
    await em.nativeDelete(LoginSession, { expiresAt: { $lte: now } });
    await endOldest(em, user.userId, changed);
    const sessionHash = hashSessionToken(token);
    await em.insert(LoginSession, { sessionHash, userId: user.userId, createdAt: now, expiresAt, address });
    return { result: undefined, changed };
  });
  return { token, expiresAt };
}

async function findOrMake(
  em: SqlEntityManager,
  { newUser }: LoginSettings,
  identity: LoginIdentity,
  now: Date,
  changed: Changed[],
): Promise<UserRow> {
  const { ssoUserId, email, name, role } = identity;
  const userId = await findUserId(em, identity);
  if (userId === undefined) {
    const settings = create(UserSettingsSchema, { ...newUser, ssoUserId, userRole: role ?? newUser.userRole });
    if (email !== undefined) settings.userEmail = email;
    if (name !== undefined) settings.userAlias = name;
    // The provider's id, as LiteLLM has it; another one where somebody of that id logs in elsewhere.
    const isTaken = (await em.count(User, { userId: ssoUserId })) > 0;
    const row = { userId: isTaken ? randomUUID() : ssoUserId, ...userColumns(settings), ...createdBy(ssoCaller, now) };
    await insertUser(em, row);
    changed.push({ scope: scopeOf.user(row.userId), action: "created" });
    return row;
  }
  const row = await em.findOneOrFail(User, { userId }, { lockMode: LockMode.PESSIMISTIC_WRITE });
  const isLinked = row.ssoUserId !== null;
  const isSame = role === undefined || role === row.userRole;
  if (isLinked && isSame) return row;
  const settings = readDoc(UserSettingsSchema, row.doc);
  settings.ssoUserId = row.ssoUserId ?? ssoUserId;
  settings.userRole = role ?? row.userRole;
  em.assign(row, userColumns(settings));
  touch(row, ssoCaller, now);
  await em.flush().catch((error: unknown) => {
    throw userTaken(error);
  });
  changed.push({ scope: scopeOf.user(userId), action: "updated" });
  return row;
}

async function findUserId(em: SqlEntityManager, { ssoUserId, email }: LoginIdentity): Promise<string | undefined> {
  const known = await em.findOne(User, { ssoUserId });
  if (known !== null || email === undefined) return known?.userId;
  return userIdOf(em, { userEmail: email });
}

async function endOldest(em: SqlEntityManager, userId: string, changed: Changed[]): Promise<void> {
  const surplus = await em.find(LoginSession, { userId }, { orderBy: { createdAt: "desc" }, offset: maxSessions - 1 });
  const hashes = surplus.map(({ sessionHash }) => sessionHash);
  if (hashes.length === 0) return;
  await em.nativeDelete(LoginSession, { sessionHash: { $in: hashes } });
  changed.push(...hashes.map((hash) => ({ scope: scopeOf.key(hash), action: "deleted" as const })));
}
