import type { DescMethod, DescService, Message } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { checkAccess, httpRuleOf, requireCaller } from "#chassis/access.ts";
import { checkBounds } from "#chassis/request-bounds.ts";

/** The five services. */
export const serviceNames = ["edge", "auth", "router", "provider-adapter", "accounting"] as const;
export type ServiceName = (typeof serviceNames)[number];

/** One RPC service with the code that answers it. Make it with `implement`, which checks the types. */
export interface Implementation {
  readonly service: DescService;
  readonly implementation: Record<string, unknown>;
}

type UnaryHandler = (request: Message, context: HandlerContext) => unknown;

/**
 * Binds handlers to a service. An RPC that declares REST paths is an admin RPC: whoever calls it, over REST or over gRPC,
 * has one of the declared roles, and every value of the request is within its bounds, before the handler is called.
 */
export function implement<S extends DescService>(service: S, implementation: ServiceImpl<S>): Implementation {
  const handlers = { ...(implementation as Record<string, unknown>) };
  for (const method of service.methods) {
    const handler = handlers[method.localName];
    if (isHandler(handler)) handlers[method.localName] = guarded(method, handler);
  }
  return { service, implementation: handlers };
}

function isHandler(value: unknown): value is UnaryHandler {
  return typeof value === "function";
}

function guarded(method: DescMethod, handler: UnaryHandler): UnaryHandler {
  const rule = httpRuleOf(method);
  if (rule === undefined) return handler;
  return (request, context) => {
    checkAccess(rule, requireCaller(context.requestHeader));
    checkBounds(method.input, request);
    return handler(request, context);
  };
}

/** A running service, as the composition sees it. */
export interface HostedService {
  readonly name: ServiceName;
  readonly implementations: readonly Implementation[];
  /** Stops taking new work, lets work in flight finish, then frees everything. Called once. */
  close(): Promise<void>;
}
