import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { gatewayError } from "#chassis/errors.ts";
import { BeginLoginResponseSchema, type LoginService } from "#gen/sluice/auth/v1/login_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { RouteContext } from "../../context.ts";
import { readReturnPath, sealPendingLogin } from "../../login/pending-login.ts";
import type { Login } from "./index.ts";

const loginMs = 600_000;

export function beginLogin(
  { keyring, clock }: RouteContext,
  login: Login | undefined,
): ServiceImpl<typeof LoginService>["beginLogin"] {
  return async (request) => {
    const { provider, settings } = requireLogin(login);
    const returnPath = readReturnPath(request.returnPath);
    const { authorizationUrl, ...begun } = await provider.begin();
    const loginState = sealPendingLogin(keyring, { ...begun, returnPath, expiresAt: clock() + loginMs });
    const secure = settings.baseUrl.startsWith("https:");
    return create(BeginLoginResponseSchema, { authorizationUrl, loginState, secure });
  };
}

/** @throws NOT_FOUND where no identity provider is configured. */
export function requireLogin(login: Login | undefined): Login {
  if (login !== undefined) return login;
  throw gatewayError(
    Reason.NOT_FOUND,
    "Nobody can log in here: no identity provider is configured (GENERIC_CLIENT_ID, GOOGLE_CLIENT_ID or MICROSOFT_CLIENT_ID).",
  );
}
