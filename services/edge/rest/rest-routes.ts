import { type DescMethod, type DescMethodUnary, getOption } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import { checkAccess } from "#chassis/access.ts";
import { callerHeaders } from "#chassis/caller-header.ts";
import type { Principal } from "#gen/sluice/auth/v1/principal_pb.ts";
import { type HttpRule, http as httpOption } from "#gen/sluice/rest/v1/rest_pb.ts";
import { adminCaller } from "../admin-caller.ts";
import { callerModelsField, setCallerModels } from "../caller-models.ts";
import { clientAddress } from "../client-address.ts";
import type { EdgeContext } from "../context.ts";
import type { HttpCall } from "../http-call.ts";
import type { Route } from "../route-table.ts";
import { readRestInput, refuseUnbuilt } from "./read-input.ts";
import { readMessage } from "./read-message.ts";
import type { RestBinding } from "./rest-binding.ts";
import { writeMessage } from "./write-message.ts";

const restMethods = ["GET", "POST", "PUT", "PATCH", "DELETE"] as const;

/**
 * The REST paths that the bound services declare with `(sluice.rest.v1.http)`. Nothing is known here of any one path.
 *
 * @throws at start where a declaration is no good: a path without access, an unknown method, a streaming RPC.
 */
export function restRoutes(context: EdgeContext): readonly Route[] {
  return context.clients.rest.flatMap((binding) =>
    binding.service.methods.flatMap((method) => {
      const rule = getOption(method, httpOption);
      return rule.paths.map((path): Route => toRoute(context, binding, unary(method), rule, path));
    }),
  );
}

function unary(method: DescMethod): DescMethodUnary {
  if (!isUnary(method)) throw new Error(`${method} has a REST path and is not unary`);
  return method;
}

function isUnary(method: DescMethod): method is DescMethodUnary {
  return method.methodKind === "unary";
}

function toRoute(
  context: EdgeContext,
  binding: RestBinding,
  method: DescMethodUnary,
  rule: HttpRule,
  methodAndPath: string,
): Route {
  const [verb, path, more] = methodAndPath.split(" ");
  const known = restMethods.find((candidate) => candidate === verb);
  if (known === undefined || path === undefined || !path.startsWith("/") || more !== undefined) {
    throw new Error(`${method} has a malformed REST path: ${methodAndPath}`);
  }
  if (rule.roles.length === 0) throw new Error(`${method} has a REST path and does not say who may call it`);
  const parameter = /\{(\w+)\}/.exec(path)?.[1];
  return {
    method: known,
    access: "key",
    paths: [path],
    groups: groupsOf(method, path),
    handle: (call, principal) =>
      transcode(context, { binding, method, rule, parameter, declared: methodAndPath }, call, principal),
  };
}

/** LiteLLM's groups: what reads is `info_routes`, what changes `management_routes`, and some prefixes have their own. */
export function groupsOf(method: DescMethodUnary, path: string): string[] {
  const reads = method.idempotency === MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS;
  const groups = ["management_routes"];
  if (reads) groups.push("info_routes");
  if (path.startsWith("/key/")) groups.push("key_management_routes");
  if (path.startsWith("/spend/")) groups.push("spend_tracking_routes");
  return groups;
}

interface Target {
  readonly binding: RestBinding;
  readonly method: DescMethodUnary;
  readonly rule: HttpRule;
  /** Method and path, as they are declared. */
  readonly declared: string;
  /** The field that the path holds. */
  readonly parameter: string | undefined;
}

async function transcode(context: EdgeContext, target: Target, call: HttpCall, principal: Principal): Promise<void> {
  const { binding, method, rule, parameter } = target;
  const { headers, socket } = call.request;
  const address = clientAddress(context.config, headers, socket.remoteAddress);
  const caller = adminCaller(principal, headers, { address, operation: target.declared });
  checkAccess(rule, caller);
  const input = await readRestInput(call, method.input);
  if (parameter !== undefined) input[parameter] = call.pathParameter;
  refuseUnbuilt(rule, input);
  const given = callerModelsField(method.input);
  if (given !== undefined) delete input[given.name];
  const request = readMessage(method.input, input);
  setCallerModels(method.input, request, principal);
  const response = await binding.call(method, request, {
    headers: callerHeaders(caller),
    timeoutMs: timeoutOf(context, rule),
    signal: call.signal,
  });
  if (rule.status === 204) return call.sendNothing();
  const body = writeMessage(method.output, response);
  call.sendJson(rule.status || 200, rule.responseBody === "" ? body : body[rule.responseBody]);
}

/** How long an admin call may take. */
export function timeoutOf({ config }: EdgeContext, { timeoutSeconds }: HttpRule): number {
  return timeoutSeconds === 0 ? config.restTimeoutMs : timeoutSeconds * 1000;
}
