import type { IncomingHttpHeaders } from "node:http";
import type { DescMethod, DescMethodUnary, Message } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { checkAccess, httpRuleOf } from "#chassis/access.ts";
import { callerHeaders } from "#chassis/caller-header.ts";
import type { Implementation } from "#chassis/service.ts";
import type { HttpRule } from "#gen/sluice/rest/v1/rest_pb.ts";
import { adminCaller } from "../admin-caller.ts";
import { checkRoute } from "../allowed-routes.ts";
import { setCallerModels } from "../caller-models.ts";
import { chatError } from "../chat/chat-error.ts";
import { admitRpc, type RpcParts } from "../rpc-caller.ts";
import type { RestBinding } from "./rest-binding.ts";
import { groupsOf, timeoutOf } from "./rest-routes.ts";

/**
 * The RPCs behind the REST paths, for clients that speak gRPC, gRPC-Web or Connect with a key of their own: the same
 * callers, roles and answers. What has no REST path is the mesh's own and is not served here.
 */
export function restRpcs(parts: RpcParts): readonly Implementation[] {
  return parts.context.clients.rest.map((binding) => ({
    service: binding.service,
    implementation: Object.fromEntries(
      binding.service.methods.flatMap((method) => {
        const rule = httpRuleOf(method);
        return rule === undefined || !isUnary(method)
          ? []
          : [[method.localName, forward(parts, binding, method, rule)]];
      }),
    ),
  }));
}

function isUnary(method: DescMethod): method is DescMethodUnary {
  return method.methodKind === "unary";
}

function forward(parts: RpcParts, binding: RestBinding, method: DescMethodUnary, rule: HttpRule) {
  const template = rule.paths[0]?.split(" ")[1] ?? "";
  const groups = groupsOf(method, template);
  return async (request: Message, handler: HandlerContext): Promise<Message> => {
    const headers: IncomingHttpHeaders = Object.fromEntries(handler.requestHeader);
    try {
      const { principal, path, address } = await admitRpc(parts, handler, headers);
      checkRoute(principal, { path: template, routeName: template, groups });
      const caller = adminCaller(principal, headers, { address, operation: path });
      checkAccess(rule, caller);
      setCallerModels(method.input, request, principal);
      return await binding.call(method, request, {
        headers: callerHeaders(caller),
        timeoutMs: timeoutOf(parts.context, rule),
        signal: handler.signal,
      });
    } catch (error) {
      throw chatError(error, "").error;
    }
  };
}
