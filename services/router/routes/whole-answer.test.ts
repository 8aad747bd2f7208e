import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { type ReadyIterator, readyStep } from "#chassis/rpc/ready.ts";
import { type InferResponse, InferResponseSchema } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import { call, createFakeAdmitter, errorName, startRouter } from "../testing/router-harness.ts";

const yaml = `
model_list:
  - {model_name: m, litellm_params: {model: openai/one, api_key: sk-1}}
`;

const started = create(InferResponseSchema, { event: { case: "started", value: { status: 200 } } });
const only = create(InferResponseSchema, { event: { case: "chunk", value: { payloads: [new Uint8Array(3)] } } });
const last = create(InferResponseSchema, {
  event: { case: "chunk", value: { payloads: [new Uint8Array(3)], last: true } },
});
const finished = create(InferResponseSchema, {
  event: { case: "finished", value: { usage: { inputTokens: 1n, outputTokens: 1n } } },
});

/** An adapter whose first event has to be waited for, and whose others are there with it. */
function togetherWith(events: readonly InferResponse[]) {
  const infer = (): ReadyIterator<InferResponse> => {
    let at = 0;
    const step = (): IteratorResult<InferResponse, undefined> => {
      const value = events[at];
      at += 1;
      return value === undefined ? { done: true, value: undefined } : { done: false, value };
    };
    return {
      next: async () => step(),
      ready: () => (at === 0 ? undefined : step()),
      return: async () => ({ done: true, value: undefined }),
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  };
  return { implementation: { infer }, requests: [], aborted: [] };
}

async function begin(events: readonly InferResponse[], stream: boolean) {
  const seen: string[] = [];
  const admitter = createFakeAdmitter((end) => seen.push(end === "void" ? "void" : "settled"));
  const harness = await startRouter({ yaml, adapter: togetherWith(events), admitter });
  const responses = harness.inference.infer(call({ stream }))[Symbol.asyncIterator]();
  const note = ({ done, value }: IteratorResult<InferResponse>) =>
    seen.push(done === true ? "end" : String(value.event.case));
  note(await responses.next());
  for (let step = readyStep(responses); step !== undefined && seen.at(-1) !== "end"; step = readyStep(responses)) {
    note(step);
  }
  return { seen, responses };
}

test("a whole answer that came at once is recorded before its beginning goes out, and needs one wait", async () => {
  const { seen } = await begin([started, last, finished], false);
  assert.deepEqual(seen, ["settled", "started", "chunk", "finished", "end"]);
});

test("the beginning of a stream does not wait for its end", async () => {
  const { seen, responses } = await begin([started, last, finished], true);
  assert.deepEqual(seen, ["started"]);
  await responses.return?.();
});

test("a whole answer that breaks off fails behind what had come of it", async () => {
  const { seen, responses } = await begin([started, only], false);
  assert.deepEqual(seen, ["started", "chunk"]);
  await assert.rejects(responses.next(), (error) => errorName(error).startsWith("upstream"));
  assert.deepEqual(seen, ["started", "chunk", "settled"]);
});
