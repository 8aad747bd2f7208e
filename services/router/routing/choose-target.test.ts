import assert from "node:assert/strict";
import { test } from "node:test";
import { createLocalClient } from "#chassis/rpc/local-client.ts";
import { CallerKind } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { InferRequest } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import { RequestService } from "#gen/sluice/inference/v1/request_service_pb.ts";
import { type CallFields, call, errorName, startRouter } from "../testing/router-harness.ts";
import { createScriptedAdapter } from "../testing/scripted-adapter.ts";

const yaml = `
model_list:
  - {model_name: m, litellm_params: {model: openai/one, api_key: sk-1, allowed_openai_params: [a]}}
  - {model_name: keyless, litellm_params: {model: openai/one, api_key: os.environ/NOT_SET}}
`;

async function start() {
  const asked: InferRequest[] = [];
  const note = ({ call: asking }: { call?: InferRequest | undefined }) => {
    if (asking !== undefined) asked.push(asking);
    return {};
  };
  const adapter = createScriptedAdapter({});
  const requests = { preview: note, countTokens: note, listSupportedParams: note };
  const harness = await startRouter({ yaml, adapter, requests });
  const implementation = harness.service.implementations.find(({ service }) => service === RequestService);
  const client = createLocalClient(RequestService, implementation?.implementation ?? {});
  return { client, asked, harness };
}

test("a question goes to the adapter with the target of the call, and nothing is admitted or run", async () => {
  const { client, asked, harness } = await start();
  const options = { dropParams: true, allowedOpenaiParams: ["b"] };
  await client.preview({ call: call({ options }) });
  await client.countTokens({ call: call() });
  await client.listSupportedParams({ call: call() });
  const [first] = asked;
  assert.equal(asked.length, 3);
  assert.deepEqual([first?.target?.provider, first?.target?.model], ["openai", "one"]);
  assert.deepEqual([first?.target?.dropParams, first?.target?.allowedOpenaiParams], [true, ["a", "b"]]);
  assert.equal(asked[1]?.target?.dropParams, false);
  assert.equal(harness.admitter.requests.length, 0);
});

test("who may not call a model may not ask about it", async () => {
  const { client, asked } = await start();
  const other = { kind: CallerKind.VIRTUAL_KEY, models: ["other"] };
  const cases: readonly [CallFields, string][] = [
    [{ caller: other }, "MODEL_ACCESS_DENIED"],
    [{ model: "nothing" }, "MODEL_NOT_FOUND"],
    [{ model: "keyless" }, "upstream 401"],
  ];
  for (const [fields, expected] of cases) {
    await assert.rejects(client.preview({ call: call(fields) }), (error) => errorName(error) === expected);
  }
  await assert.rejects(client.preview({}), (error) => errorName(error) === "INVALID_REQUEST");
  assert.equal(asked.length, 0);
});
