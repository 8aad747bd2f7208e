import assert from "node:assert/strict";
import { after, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { readCaller } from "#chassis/caller-header.ts";
import { findGatewayError, gatewayError } from "#chassis/errors.ts";
import { createLogger } from "#chassis/log.ts";
import { createLocalClient } from "#chassis/rpc/local-client.ts";
import { serveRpc } from "#chassis/serve/rpc-server.ts";
import { SpendService } from "#gen/sluice/accounting/v1/spend_service_pb.ts";
import { GetKeyInfoResponseSchema, KeyService } from "#gen/sluice/auth/v1/key_service_pb.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import { ModelService } from "#gen/sluice/router/v1/model_service_pb.ts";
import { startTestEdge } from "../testing/scripted-mesh.ts";
import { bindRest } from "./rest-binding.ts";

const seen: {
  caller?: string;
  changedBy?: string | undefined;
  operation?: string | undefined;
  levels?: string | undefined;
} = {};
const keys = createLocalClient(KeyService, {
  getKeyInfo({ key }, { requestHeader }) {
    const caller = readCaller(requestHeader);
    seen.caller = caller?.keyId.slice(0, 8);
    seen.changedBy = caller?.changedBy;
    seen.operation = caller?.operation;
    if (key === "missing") throw gatewayError(Reason.NOT_FOUND, "Key not found in database.", { param: "key" });
    return create(GetKeyInfoResponseSchema, { key, info: { keyName: "sk-...abcd" } });
  },
});
const models = createLocalClient(ModelService, {
  listModelGroups({ callerModels }) {
    seen.levels = callerModels?.levels.map(({ level, models: names }) => `${level}:${names}`).join();
    return {};
  },
});
const edge = await startTestEdge({
  rest: [
    bindRest(KeyService, keys),
    bindRest(ModelService, models),
    bindRest(SpendService, createLocalClient(SpendService, {})),
  ],
});
const server = await serveRpc({
  host: "127.0.0.1",
  port: 0,
  implementations: edge.implementations,
  token: undefined,
  health: () => true,
  log: createLogger("error", () => {}),
});
after(async () => {
  await server.close(0);
  await edge.stop();
});

const transports = {
  gRPC: createGrpcTransport({ baseUrl: server.address }),
  Connect: createConnectTransport({ baseUrl: server.address, httpVersion: "1.1" }),
};

for (const [name, transport] of Object.entries(transports)) {
  test(`a client with a key calls admin RPCs over ${name}, as what its key is`, async () => {
    const client = createClient(KeyService, transport);
    const as = (key: string) => ({ headers: { authorization: `Bearer ${key}`, "litellm-changed-by": "a script" } });
    const { info } = await client.getKeyInfo({ key: "x" }, as("sk-virtual"));
    assert.equal(info?.keyName, "sk-...abcd");
    assert.equal(seen.changedBy, "a script");
    assert.equal(seen.operation, `/${KeyService.typeName}/GetKeyInfo`);
    assert.equal((await refusal(client.getKeyInfo({ key: "missing" }, as("sk-virtual"))))[0], Reason.NOT_FOUND);
    assert.deepEqual(await refusal(client.generateKey({}, as("sk-virtual"))), [
      Reason.PERMISSION_DENIED,
      Code.PermissionDenied,
    ]);
    assert.deepEqual(await refusal(client.getKeyInfo({}, as("sk-nobody"))), [Reason.KEY_INVALID, Code.Unauthenticated]);
    assert.deepEqual(await refusal(client.getKeyInfo({})), [Reason.KEY_INVALID, Code.Unauthenticated]);
    // What the caller may use, the edge says, whatever the caller says.
    await createClient(ModelService, transport).listModelGroups({ callerModels: { levels: [] } }, as("sk-virtual"));
    assert.equal(seen.levels, "key:gpt-4o");
    // The mesh's own RPCs are not for the outside.
    const spend = createClient(SpendService, transport);
    const [, code] = await refusal(spend.setSpend({ scope: "key:x" }, as("sk-master")));
    assert.equal(code, Code.Unimplemented);
  });
}

async function refusal(work: Promise<unknown>): Promise<[Reason | undefined, Code]> {
  const error = await work.then(
    () => assert.fail("it should be refused"),
    (thrown: unknown) => ConnectError.from(thrown),
  );
  return [findGatewayError(error)?.reason, error.code];
}
