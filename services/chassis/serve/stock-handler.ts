import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import type { DescService } from "@bufbuild/protobuf";
import {
  type CallOptions,
  Code,
  type ConnectError,
  createConnectRouter,
  type HandlerContext,
  type ServiceImpl,
} from "@connectrpc/connect";
import type { UniversalHandler } from "@connectrpc/connect/protocol";
import {
  compressionBrotli,
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from "@connectrpc/connect-node";
import { errorText, type Logger } from "../log.ts";
import { thrownError } from "../rpc/call-errors.ts";
import { createLocalClient } from "../rpc/local-client.ts";
import type { Implementation } from "../service.ts";
import type { LeanHandlerOptions } from "./lean-handler.ts";

export type AnyRequest = IncomingMessage | Http2ServerRequest;
export type AnyResponse = ServerResponse | Http2ServerResponse;

/** Answers a request, if its path is a served RPC's. */
export type StockHandler = (path: string, request: AnyRequest, response: AnyResponse) => void;

export interface StockHandlerOptions extends LeanHandlerOptions {
  readonly implementations: readonly Implementation[];
  readonly log: Logger;
}

/** Every protocol that the Connect library speaks: gRPC, gRPC-Web and Connect, in binary and JSON, compressed or not. */
export function createStockHandler(options: StockHandlerOptions): StockHandler {
  const router = createConnectRouter({
    acceptCompression: [compressionGzip, compressionBrotli],
    readMaxBytes: options.maxMessageBytes,
    requestGate: ({ service, requestHeader }) => {
      options.checkToken(service.typeName, requestHeader.get("authorization") ?? undefined);
    },
  });
  for (const { service, implementation } of options.implementations) {
    router.service(service, raced(service, implementation, options));
  }
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
  return (path, request, response) => {
    const handler = handlers.get(path);
    if (handler === undefined) {
      response.statusCode = 404;
      response.end();
      return;
    }
    answer(handler, request, response, options.log);
  };
}

function answer(handler: UniversalHandler, request: AnyRequest, response: AnyResponse, log: Logger): void {
  const failed = (error: unknown): void => {
    log.debug("rpc connection failed", { method: handler.method.name, error: errorText(error) });
  };
  try {
    // Throws on a request without a valid host.
    const universal = universalRequestFromNodeRequest(request, response, undefined, undefined);
    handler(universal)
      .then((answered) => universalResponseToNodeResponse(answered, response))
      .catch(failed);
  } catch (error) {
    failed(error);
    response.statusCode = 400;
    response.end();
  }
}

type Called = (request: object, options: CallOptions) => unknown;

/**
 * The implementation behind a local client, so that it gets the same treatment on every protocol: the library alone
 * would wait for code that ignores its signal.
 */
function raced(
  service: DescService,
  implementation: Record<string, unknown>,
  options: StockHandlerOptions,
): Partial<ServiceImpl<DescService>> {
  const client = createLocalClient(service, implementation) as Record<string, Called>;
  const methods = service.methods.map((method) => {
    const call = (request: object, context: HandlerContext): unknown =>
      client[method.localName]?.(request, optionsOf(context));
    const report = (thrown: unknown): ConnectError => {
      const error = thrownError(thrown);
      if (error.code === Code.Internal) options.onInternalError(method, error);
      return error;
    };
    const unary = async (request: object, context: HandlerContext): Promise<unknown> => {
      try {
        return await call(request, context);
      } catch (thrown) {
        throw report(thrown);
      }
    };
    const stream = async function* (request: object, context: HandlerContext): AsyncIterable<unknown> {
      try {
        yield* call(request, context) as AsyncIterable<unknown>;
      } catch (thrown) {
        throw report(thrown);
      }
    };
    return [method.localName, method.methodKind === "server_streaming" ? stream : unary];
  });
  return Object.fromEntries(methods);
}

function optionsOf(context: HandlerContext): CallOptions {
  const copy = (to: Headers) => (from: Headers) => {
    for (const [name, value] of from) to.append(name, value);
  };
  return {
    signal: context.signal,
    timeoutMs: context.timeoutMs(),
    headers: context.requestHeader,
    contextValues: context.values,
    onHeader: copy(context.responseHeader),
    onTrailer: copy(context.responseTrailer),
  };
}
