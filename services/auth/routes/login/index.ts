import { type Implementation, implement } from "#chassis/service.ts";
import { LoginService } from "#gen/sluice/auth/v1/login_service_pb.ts";
import type { RouteContext } from "../../context.ts";
import { createLoginAtProvider, type LoginAtProvider } from "../../login/identity-provider.ts";
import type { LoginSettings } from "../../login/settings.ts";
import { beginLogin } from "./begin-login.ts";
import { completeLogin } from "./complete-login.ts";
import { endSession } from "./end-session.ts";

/** What the routes of a login share; undefined where nobody logs in. */
export interface Login {
  readonly settings: LoginSettings;
  readonly provider: LoginAtProvider;
}

export function loginRoutes(context: RouteContext): Implementation {
  const { login: settings } = context.config;
  const login = settings && { settings, provider: createLoginAtProvider(settings) };
  return implement(LoginService, {
    beginLogin: beginLogin(context, login),
    completeLogin: completeLogin(context, login),
    endSession: endSession(context),
  });
}
