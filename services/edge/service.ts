import type { IncomingMessage, ServerResponse } from "node:http";
import type { HostedService } from "#chassis/service.ts";
import { Slots } from "#chassis/slots.ts";
import { PrincipalChangedSchema } from "#gen/sluice/auth/v1/principal_pb.ts";
import type { EdgeContext } from "./context.ts";
import { createCors } from "./cors.ts";
import { createDispatcher } from "./dispatch.ts";
import { createEdgeEvents } from "./events.ts";
import { FailedAttempts } from "./failed-attempts.ts";
import { type CallFrame, HttpCall } from "./http-call.ts";
import { NamedScopes } from "./named-scopes.ts";
import { PrincipalCache } from "./principal-cache.ts";
import { RouteTable } from "./route-table.ts";
import { createImplementations, createRoutes } from "./routes/index.ts";
import { TokenCache } from "./token-cache.ts";

/** The edge as the composition sees it: it serves HTTP, and RPCs for clients, which check the caller's key themselves. */
export interface EdgeService extends HostedService {
  /** Answers every HTTP request that is no RPC. Mount it on a `node:http` server; it never throws. */
  readonly handler: (request: IncomingMessage, response: ServerResponse) => void;
}

export function createEdgeService(context: EdgeContext): EdgeService {
  const { config, clients } = context;
  const events = createEdgeEvents(context.meter, context.log);
  const inFlight = new InFlight();
  const caching = {
    auth: clients.auth,
    entries: config.keyCacheEntries,
    freshMs: config.keyFreshMs,
    staleMs: config.keyStaleMs,
    timeoutMs: config.authTimeoutMs,
    // Not the time of day: that may be set back, and would make old answers fresh.
    now: () => performance.now(),
    unanswered: events.authUnanswered,
  };
  const credentials = { keys: new PrincipalCache(caching), tokens: new TokenCache(caching, config.tokens) };
  const named = new NamedScopes(caching);
  const attempts = new FailedAttempts(config.failedAuthPerMinute, caching.now);
  const unsubscribe = context.events.subscribe(PrincipalChangedSchema, ({ keyIds, scopes }) => {
    credentials.keys.drop(keyIds, scopes);
    credentials.tokens.drop(scopes);
    named.drop(scopes);
  });
  const frame: CallFrame = {
    version: config.version,
    events,
    corsHeaders: createCors(config.corsOrigins, config.corsCredentials),
    draining: () => inFlight.draining,
  };
  const routes = new RouteTable(createRoutes(context, events, named, frame.draining));
  const dispatch = createDispatcher(routes, credentials, attempts, config, context.now);

  return {
    name: "edge",
    implementations: createImplementations({ context, events, credentials, named, attempts }),
    handler(request, response) {
      const call = new HttpCall(frame, request, response);
      inFlight.add(call);
      events.requestStarted();
      // A client may leave at any moment; what is written after that fails here and nowhere else.
      response.on("error", ignore);
      request.on("error", ignore);
      response.on("close", () => {
        const complete = response.writableFinished;
        if (!complete) call.abort();
        inFlight.remove(call);
        events.requestEnded(call, complete ? call.status : 499);
      });
      dispatch(call);
    },
    async close() {
      await inFlight.drain(config.drainMs);
      await unsubscribe();
    },
  };
}

function ignore(): void {}

/** The calls that run. */
class InFlight {
  readonly #calls = new Slots<HttpCall>();
  #whenEmpty: (() => void) | undefined;

  get draining(): boolean {
    return this.#whenEmpty !== undefined;
  }

  add(call: HttpCall): void {
    this.#calls.add(call);
  }

  remove(call: HttpCall): void {
    this.#calls.delete(call);
    if (this.#calls.size === 0) this.#whenEmpty?.();
  }

  /** Resolves when nothing runs any more; after `limitMs` what still runs is cut off. */
  async drain(limitMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#whenEmpty = resolve;
    if (this.#calls.size === 0) return;
    const timer = setTimeout(() => {
      for (const call of [...this.#calls]) call.response.destroy();
    }, limitMs);
    await promise;
    clearTimeout(timer);
  }
}
