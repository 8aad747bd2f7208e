import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import { errorText, type Logger } from "../log.ts";
import { methodCode } from "../rpc/run-method.ts";
import type { Implementation } from "../service.ts";
import { WireWriter } from "../wire/wire-writer.ts";
import { handleLean, isLeanRequest, type LeanHandlerOptions, type ServedMethod } from "./lean-handler.ts";
import type { TokenCheck } from "./mesh-token.ts";
import { createStockHandler } from "./stock-handler.ts";

export interface RequestHandlerOptions {
  readonly implementations: readonly Implementation[];
  readonly checkToken: TokenCheck;
  readonly maxMessageBytes: number;
  /** Answers what is no RPC, over HTTP/1.1. */
  readonly http: RequestListener | undefined;
  readonly log: Logger;
}

export interface RequestHandler {
  http1(request: IncomingMessage, response: ServerResponse): void;
  http2(request: Http2ServerRequest, response: Http2ServerResponse): void;
}

/** Sends each request to who answers it: the lean handler, the stock handler, or the service's own HTTP. */
export function createRequestHandler(options: RequestHandlerOptions): RequestHandler {
  const { implementations, http, log } = options;
  const lean: LeanHandlerOptions = {
    maxMessageBytes: options.maxMessageBytes,
    checkToken: options.checkToken,
    wire: new WireWriter(),
    onInternalError: (method, error) =>
      log.error("rpc failed", {
        method: `${method.parent.typeName}/${method.name}`,
        error: errorText(error.cause ?? error),
      }),
  };
  const stock = createStockHandler({ ...lean, implementations, log });
  const served = servedMethods(implementations);
  const prefixes = new Set(implementations.map(({ service }) => service.typeName));
  const isRpc = (path: string): boolean => {
    const end = path.indexOf("/", 1);
    // A service's name begins with its package: a look at the dot spares other paths the text to look up.
    const dot = path.indexOf(".");
    return dot !== -1 && dot < end && prefixes.has(path.slice(1, end));
  };
  return {
    http1(request, response) {
      response.on("error", ignore);
      const path = pathOf(request.url);
      const found = served.get(path);
      if (found !== undefined && isLeanRequest(found, request)) {
        handleLean(found, request, response, lean).catch(() => response.destroy());
      } else if (found !== undefined || isRpc(path) || http === undefined) {
        stock(path, request, response);
      } else {
        try {
          http(request, response);
        } catch (error) {
          log.error("http request failed", { error: errorText(error) });
          response.destroy();
        }
      }
    },
    http2(request, response) {
      response.on("error", ignore);
      stock(pathOf(request.url), request, response);
    },
  };
}

function servedMethods(implementations: readonly Implementation[]): ReadonlyMap<string, ServedMethod> {
  return new Map(
    implementations.flatMap(({ service, implementation }) =>
      service.methods.map((method) => [
        `/${service.typeName}/${method.name}`,
        { method, code: methodCode(implementation, method) },
      ]),
    ),
  );
}

function pathOf(url: string | undefined): string {
  const whole = url ?? "";
  const query = whole.indexOf("?");
  return query === -1 ? whole : whole.slice(0, query);
}

/** A client may cut its connection at any moment; the call learns of it by `close`. */
function ignore(): void {}
