import assert from "node:assert/strict";
import { test } from "node:test";
import type { DescService } from "@bufbuild/protobuf";
import { create, type DescMethod, getOption } from "@bufbuild/protobuf";
import { createClient, createRouterTransport, type ServiceImpl } from "@connectrpc/connect";
import { callerHeaders } from "#chassis/caller-header.ts";
import { implement } from "#chassis/service.ts";
import { PrincipalSchema } from "#gen/sluice/auth/v1/principal_pb.ts";
import { CallerKind } from "#gen/sluice/inference/v1/inference_pb.ts";
import { AdminCallerSchema, Role } from "#gen/sluice/rest/v1/caller_pb.ts";
import { http as httpOption } from "#gen/sluice/rest/v1/rest_pb.ts";
import { send } from "../services/edge/testing/raw-http.ts";
import { startTestEdge } from "../services/edge/testing/scripted-mesh.ts";
import { adminServices } from "../services/mesh/admin-services.ts";

/** Every role by itself, and nobody. */
const roles: readonly Role[] = Object.values(Role);
const methods = adminServices
  .flatMap(({ service }) => service.methods)
  .filter((method) => rule(method).paths.length > 0);

function rule(method: DescMethod) {
  return getOption(method, httpOption);
}

/** What the contract declares; a role beside these gets nothing. */
function isDeclared(method: DescMethod, role: Role): boolean {
  return role !== Role.UNSPECIFIED && (role === Role.PROXY_ADMIN || rule(method).roles.includes(role));
}

test("at the edge each role gets to the paths that declare it, and to no other", async () => {
  const state: { role: Role; reached: number } = { role: Role.UNSPECIFIED, reached: 0 };
  const edge = await startTestEdge({
    authenticate: () => ({
      principal: create(PrincipalSchema, {
        kind: CallerKind.VIRTUAL_KEY,
        keyId: "a".repeat(64),
        roles: state.role === Role.UNSPECIFIED ? [] : [state.role],
      }),
    }),
    rest: adminServices.map(({ service }) => ({
      service,
      async call(method) {
        state.reached += 1;
        return create(method.output);
      },
    })),
  });
  let checked = 0;
  for (const role of roles) {
    state.role = role;
    for (const method of methods) {
      for (const path of rule(method).paths) {
        const [verb = "", template = ""] = path.split(" ");
        state.reached = 0;
        // A key of its own for each question: principals are kept.
        const headers = { authorization: `Bearer sk-${checked}`, "content-type": "application/json" };
        const body = verb === "GET" ? undefined : "{}";
        const url = `${edge.url}${template.replace(/\{\w+\}/g, "x")}`;
        const { status } = await send(url, { method: verb, headers, ...(body === undefined ? {} : { body }) });
        const expected = isDeclared(method, role);
        assert.deepEqual([status === 403, state.reached > 0], [!expected, expected], `${path} as ${role}: ${status}`);
        checked += 1;
      }
    }
  }
  assert.ok(checked > roles.length * 4);
  await edge.stop();
});

test("over RPC it is the same, for whoever gets past the edge", async () => {
  for (const { service } of adminServices) {
    const reached = new Set<string>();
    const handlers = Object.fromEntries(
      service.methods.map((method) => [
        method.localName,
        () => {
          reached.add(method.localName);
          return create(method.output);
        },
      ]),
    );
    const { implementation } = implement(service, handlers as ServiceImpl<DescService>);
    const transport = createRouterTransport((router) => {
      router.service<DescService>(service, implementation as Partial<ServiceImpl<DescService>>);
    });
    const client = createClient(service, transport) as Record<string, (input: object, options: object) => unknown>;
    for (const method of service.methods.filter((each) => rule(each).paths.length > 0)) {
      for (const role of roles) {
        reached.clear();
        const caller = create(AdminCallerSchema, {
          keyId: "a".repeat(64),
          roles: role === Role.UNSPECIFIED ? [] : [role],
        });
        await Promise.resolve(client[method.localName]?.({}, { headers: callerHeaders(caller) })).catch(
          () => undefined,
        );
        assert.equal(reached.has(method.localName), isDeclared(method, role), `${method} as ${role}`);
      }
      reached.clear();
      await Promise.resolve(client[method.localName]?.({}, {})).catch(() => undefined);
      assert.equal(reached.size, 0, `${method} without a caller`);
    }
  }
});
