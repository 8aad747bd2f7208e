import { timestampMs } from "@bufbuild/protobuf/wkt";
import { clientAddress } from "../client-address.ts";
import type { EdgeContext } from "../context.ts";
import type { HttpCall } from "../http-call.ts";
import { cookieHeader, readCookie, withoutCookie } from "../session-cookie.ts";

/**
 * Takes a browser back from the identity provider. Its answer counts only in the browser that began the login, and once.
 */
export function finishLogin({ clients, config, now }: EdgeContext) {
  return async (call: HttpCall): Promise<void> => {
    const { request, query } = call;
    const loginState = readCookie(request, "sluice_login") ?? "";
    const address = clientAddress(config, request.headers, request.socket.remoteAddress);
    try {
      const options = { signal: call.signal, timeoutMs: config.restTimeoutMs };
      const session = await clients.login.completeLogin({ query, loginState, address }, options);
      const { sessionToken, expiresAt, returnPath, secure } = session;
      const seconds = expiresAt === undefined ? 0 : Math.floor((timestampMs(expiresAt) - now()) / 1000);
      const cookie = cookieHeader("sluice_session", sessionToken, seconds, secure);
      redirect(call, returnPath, [...cookie, ...withoutCookie("sluice_login")]);
    } catch (error) {
      call.sendError(error, [...withoutCookie("sluice_login"), "cache-control", "no-store"]);
    }
  };
}

/** Sends a browser on. The address that it was at holds secrets of the login: nobody is told it, nothing keeps it. */
export function redirect(call: HttpCall, location: string, headers: readonly string[]): void {
  const own = ["location", location, "cache-control", "no-store", "referrer-policy", "no-referrer"];
  call.send(303, "text/plain; charset=utf-8", "", [...own, ...headers]);
}
