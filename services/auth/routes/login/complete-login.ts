import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import { gatewayError } from "#chassis/errors.ts";
import { CompleteLoginResponseSchema, type LoginService } from "#gen/sluice/auth/v1/login_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { RouteContext } from "../../context.ts";
import { openSession } from "../../login/open-session.ts";
import { loginRefused, openPendingLogin } from "../../login/pending-login.ts";
import { readIdentity } from "../../login/provider-claims.ts";
import { requireLogin } from "./begin-login.ts";
import type { Login } from "./index.ts";

const maxQueryLength = 8_000;
/** Logins that ask the provider at once: whoever has begun one can come back as often as they like. */
const maxRunning = 50;

export function completeLogin(
  context: RouteContext,
  login: Login | undefined,
): ServiceImpl<typeof LoginService>["completeLogin"] {
  const { keyring, clock } = context;
  const state = { running: 0 };
  return async ({ query, loginState, address }) => {
    const { provider, settings } = requireLogin(login);
    if (query.length > maxQueryLength) throw gatewayError(Reason.INVALID_REQUEST, "The query string is too long.");
    const pending = openPendingLogin(keyring, loginState, clock());
    if (new URLSearchParams(query).get("state") !== pending.state) throw loginRefused("it is of another login");
    if (state.running >= maxRunning) {
      throw gatewayError(Reason.UNAVAILABLE, "Too many people log in at once. Try again.", { retryAfterMs: 1000 });
    }
    state.running += 1;
    try {
      const identity = readIdentity(settings, await provider.complete(query, pending));
      const { token, expiresAt } = await openSession(context, settings, identity, address.slice(0, 256));
      return create(CompleteLoginResponseSchema, {
        sessionToken: token,
        expiresAt: timestampFromDate(expiresAt),
        returnPath: pending.returnPath,
        secure: settings.baseUrl.startsWith("https:"),
      });
    } finally {
      state.running -= 1;
    }
  };
}
