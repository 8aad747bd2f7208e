import { create } from "@bufbuild/protobuf";
import { isUniqueViolation } from "#chassis/database/database.ts";
import { gatewayError } from "#chassis/errors.ts";
import { type UserSettings, UserSettingsSchema } from "#gen/sluice/auth/v1/user_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { UserRow } from "./db/entities.ts";
import { userRoleNames } from "./roles.ts";
import { writeDoc } from "./stored-doc.ts";

const usualRole = "internal_user";

/** The settings of a user, checked against each other and brought into one form: no text is empty. */
export function readUserSettings(given: UserSettings | undefined): UserSettings {
  const settings = given ?? create(UserSettingsSchema);
  settings.userRole = settings.userRole || usualRole;
  if (!userRoleNames.includes(settings.userRole)) {
    throw gatewayError(Reason.INVALID_REQUEST, `user_role must be one of ${userRoleNames.join(", ")}.`, {
      param: "user_role",
    });
  }
  settings.models = [...new Set(settings.models)];
  for (const name of ["userEmail", "userAlias", "ssoUserId"] as const) if (settings[name] === "") delete settings[name];
  return settings;
}

/** The columns of a user's row that its settings decide. */
export function userColumns(settings: UserSettings) {
  return {
    userEmail: settings.userEmail ?? null,
    userAlias: settings.userAlias ?? null,
    userRole: settings.userRole ?? usualRole,
    ssoUserId: settings.ssoUserId ?? null,
    doc: writeDoc(UserSettingsSchema, settings),
  } satisfies Partial<UserRow>;
}

/** What an insert or update of a user has failed with, in the words of a client. */
export function userTaken(error: unknown): unknown {
  if (isUniqueViolation(error, "internal_user_pkey")) return taken("id", "user_id");
  if (isUniqueViolation(error, "internal_user_email")) return taken("e-mail address", "user_email");
  return isUniqueViolation(error, "internal_user_sso") ? taken("SSO id", "sso_user_id") : error;
}

function taken(what: string, param: string) {
  return gatewayError(Reason.CONFLICT, `A user with this ${what} exists already.`, { param });
}
