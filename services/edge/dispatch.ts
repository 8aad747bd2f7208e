import { gatewayError } from "#chassis/errors.ts";
import type { Principal } from "#gen/sluice/auth/v1/principal_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { checkRoute } from "./allowed-routes.ts";
import { authenticate, authenticateHash, type Credentials } from "./authenticate.ts";
import { clientAddress } from "./client-address.ts";
import type { EdgeConfig } from "./config.ts";
import { preflightHeaders } from "./cors.ts";
import { refusalBody } from "./error-body.ts";
import type { FailedAttempts } from "./failed-attempts.ts";
import type { HttpCall } from "./http-call.ts";
import { ClientGone } from "./read-body.ts";
import { readKey } from "./request-key.ts";
import type { FoundPath, Route, RouteTable } from "./route-table.ts";
import { readSessionHash } from "./session-cookie.ts";

/** Answers a call whatever happens: by its route, or by an error. */
export function createDispatcher(
  routes: RouteTable,
  credentials: Credentials,
  attempts: FailedAttempts,
  config: EdgeConfig,
  now: () => number,
) {
  return (call: HttpCall): void => {
    try {
      const running = run(call);
      running?.catch((error: unknown) => fail(call, error));
    } catch (error) {
      fail(call, error);
    }
  };

  function run(call: HttpCall): Promise<void> | undefined {
    const { request, path } = call;
    const found = routes.find(path);
    if (found === undefined) {
      throw gatewayError(Reason.NOT_FOUND, `Not Found: there is no ${request.method} ${path.slice(0, 200)}`);
    }
    call.routeName = found.template;
    call.pathParameter = found.parameter;
    // A path without a GET or POST of its own dialect still answers errors in the one it belongs to.
    for (const { dialect } of found.routes.values()) call.dialect = dialect ?? call.dialect;
    if (request.method === "OPTIONS") return void answerOptions(call, found);
    const route = found.routes.get(request.method === "HEAD" ? "GET" : (request.method ?? ""));
    if (route === undefined) return void refuseMethod(call, found);
    return start(route, call) ?? undefined;
  }

  function start(route: Route, call: HttpCall): void | Promise<void> {
    if (route.access === "public") return route.handle(call);
    const address = clientAddress(config, call.request.headers, call.request.socket.remoteAddress);
    try {
      const principal = identify(route, call, address);
      if (!(principal instanceof Promise)) return enter(route, call, principal);
      return principal.then(
        (resolved) => enter(route, call, resolved),
        (error: unknown) => refuse(address, error),
      );
    } catch (error) {
      return refuse(address, error);
    }
  }

  /** A key comes before the session of a browser. */
  function identify(route: Route, { request, query }: HttpCall, address: string) {
    const beforeAsking = () => attempts.check(address);
    const session = request.headers.cookie === undefined ? undefined : readSessionHash(request);
    if (session !== undefined && readKey(request.headers) === undefined) {
      return authenticateHash(session, credentials.keys, now(), beforeAsking);
    }
    const keyQuery = route.dialect === "google" ? query : "";
    return authenticate(request.headers, credentials, now(), keyQuery, beforeAsking);
  }

  function refuse(address: string, error: unknown): never {
    attempts.note(address, error);
    throw error;
  }

  function enter(route: Route & { access: "key" }, call: HttpCall, principal: Principal): void | Promise<void> {
    if (principal.allowedRoutes.length > 0) {
      checkRoute(principal, { path: call.path, routeName: call.routeName, groups: route.groups });
    }
    return route.handle(call, principal);
  }
}

/** Nothing that is thrown ends the process, and what cannot be answered ends the connection. */
function fail(call: HttpCall, error: unknown): void {
  if (error instanceof ClientGone) {
    call.response.destroy();
    return;
  }
  try {
    call.sendError(error);
    if (!call.response.writableEnded && !call.response.headersSent) call.response.destroy();
  } catch {
    call.response.destroy();
  }
}

function answerOptions(call: HttpCall, found: FoundPath): void {
  const { headers } = call.request;
  call.writeHead(200, [
    "allow",
    allowed(found),
    ...preflightHeaders(headers["access-control-request-headers"]),
    "content-length",
    "0",
  ]);
  call.response.end();
}

function refuseMethod(call: HttpCall, found: FoundPath): void {
  const allow = allowed(found);
  const message = `Method Not Allowed: ${call.request.method} ${call.routeName} takes ${allow}`;
  call.send(405, "application/json", refusalBody(405, message, call.dialect, call.callId), ["allow", allow]);
}

function allowed(found: FoundPath): string {
  const methods = [...found.routes.keys()];
  return [...methods, ...(methods.includes("GET") ? ["HEAD"] : []), "OPTIONS"].join(", ");
}
