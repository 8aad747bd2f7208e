import type { EdgeContext } from "../context.ts";
import type { HttpCall } from "../http-call.ts";
import { cookieHeader } from "../session-cookie.ts";
import { redirect } from "./finish-login.ts";

const loginSeconds = 600;

/** Sends a browser to the identity provider. `return_to` is the path of the gateway where it ends up. */
export function startLogin({ clients, config }: EdgeContext) {
  return async (call: HttpCall): Promise<void> => {
    const returnPath = new URLSearchParams(call.query).get("return_to") ?? "";
    const options = { signal: call.signal, timeoutMs: config.restTimeoutMs };
    const { authorizationUrl, loginState, secure } = await clients.login.beginLogin({ returnPath }, options);
    redirect(call, authorizationUrl, cookieHeader("sluice_login", loginState, loginSeconds, secure));
  };
}
