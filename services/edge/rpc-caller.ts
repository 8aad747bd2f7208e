import type { IncomingHttpHeaders } from "node:http";
import type { HandlerContext } from "@connectrpc/connect";
import type { Principal } from "#gen/sluice/auth/v1/principal_pb.ts";
import { authenticate, type Credentials } from "./authenticate.ts";
import { clientAddress } from "./client-address.ts";
import type { EdgeContext } from "./context.ts";
import type { FailedAttempts } from "./failed-attempts.ts";

/** What every RPC of the outside works with. */
export interface RpcParts {
  readonly context: EdgeContext;
  readonly credentials: Credentials;
  readonly attempts: FailedAttempts;
}

/** Who calls an RPC. */
export interface RpcCaller {
  readonly principal: Principal;
  /** `/sluice.chat.v1.ChatService/CreateChatCompletion`, for example. */
  readonly path: string;
  readonly address: string;
}

/**
 * Authenticates the caller of an RPC by the same headers as an HTTP client's. RPCs do not tell the address of their client:
 * all without a trusted proxy's word count as one.
 *
 * @throws what `authenticate` does, and RATE_LIMITED where the address has tried too many keys.
 */
export async function admitRpc(
  { context, credentials, attempts }: RpcParts,
  { method, service }: HandlerContext,
  headers: IncomingHttpHeaders,
): Promise<RpcCaller> {
  const address = clientAddress(context.config, headers, "rpc");
  try {
    const beforeAsking = () => attempts.check(address);
    const principal = await authenticate(headers, credentials, context.now(), "", beforeAsking);
    return { principal, path: `/${service.typeName}/${method.name}`, address };
  } catch (error) {
    attempts.note(address, error);
    throw error;
  }
}
