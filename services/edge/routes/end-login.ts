import type { EdgeContext } from "../context.ts";
import type { HttpCall } from "../http-call.ts";
import { readSessionHash, withoutCookie } from "../session-cookie.ts";

/** Ends the session of a browser, at every edge. One that has none any more is logged out too. */
export function endLogin({ clients, config }: EdgeContext) {
  return async (call: HttpCall): Promise<void> => {
    const sessionHash = readSessionHash(call.request);
    const options = { signal: call.signal, timeoutMs: config.restTimeoutMs };
    // Another site cannot log anybody out: it is answered, and nothing happens.
    if (sessionHash === undefined) return call.sendJson(200, { logged_out: false });
    await clients.login.endSession({ sessionHash }, options);
    call.sendJson(200, { logged_out: true }, [...withoutCookie("sluice_session"), "cache-control", "no-store"]);
  };
}
