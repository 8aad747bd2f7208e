import assert from "node:assert/strict";
import { test } from "node:test";
import { create, fromBinary, isMessage } from "@bufbuild/protobuf";
import { type Timestamp, TimestampSchema, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { randomMessage, seededRandom } from "#chassis/testing/random-message.ts";
import { UsageRecordedSchema, UsageStatus } from "#gen/sluice/accounting/v1/spend_pb.ts";
import { CallerSchema, Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import { CostSchema, CostState, UsageSchema } from "#gen/sluice/inference/v1/usage_pb.ts";
import type { AdmissionRequest, CallEnd } from "./admission.ts";
import { CallRecords } from "./call-record.ts";
import type { Charge } from "./record-fields.ts";
import { admissionRequest, callEnd, oneNanoAToken, settlementOf } from "./testing/fixtures.ts";

const owner = "00000000-0000-4000-8000-000000000000";
const upTo = seededRandom(11);

/** Of any length that the writer treats in its own way, and not always ASCII. */
function text(): string {
  return (upTo(5) === 0 ? "é" : "x").repeat([0, 1, 30, 41, 127, 200][upTo(6)] ?? 0);
}

function number(): number {
  return [0, 1, 127, 128, 2 ** 31, 2 ** 32 + 5, Number.MAX_SAFE_INTEGER][upTo(7)] ?? 0;
}

function charge(): Charge {
  const leasedAt = upTo(2) === 0 ? undefined : timestamp();
  const nano = BigInt(number()) * (upTo(5) === 0 ? -1n : 1n);
  return { scope: text(), nano, tokens: number(), leasedAt, leasedTokens: upTo(2) === 0 ? undefined : number() };
}

function timestamp(): Timestamp {
  const message = randomMessage(TimestampSchema, upTo);
  assert.ok(isMessage(message, TimestampSchema));
  return message;
}

function request(): AdmissionRequest {
  const tokens = number();
  return {
    callId: text(),
    operation: upTo(2) === 0 ? Operation.CHAT_COMPLETIONS : Operation.RERANK,
    model: text(),
    stream: upTo(2) === 0,
    caller: create(CallerSchema, {
      keyId: text(),
      keyAlias: text(),
      userId: text(),
      teamId: text(),
      endUser: text(),
      tags: Array.from({ length: upTo(4) }, text),
    }),
    estimate: { tokens, price: upTo(3) === 0 ? undefined : oneNanoAToken(upTo(2000)) },
  };
}

function callEnded(): CallEnd {
  const [usage, cost] = [randomMessage(UsageSchema, upTo), randomMessage(CostSchema, upTo)];
  assert.ok(isMessage(usage, UsageSchema) && isMessage(cost, CostSchema));
  return {
    status: UsageStatus.SUCCESS,
    modelGroup: text(),
    deployment: text(),
    provider: text(),
    upstreamModel: text(),
    usage,
    cost,
    finishReason: text(),
    firstPayloadAt: upTo(3) === 0 ? undefined : 1_800_000_000_000 + upTo(10_000),
    attemptedRetries: upTo(300),
    attemptedFallbacks: upTo(3),
  };
}

test("both records of calls with any values are read as they were meant", () => {
  const records = new CallRecords(owner);
  const filled = new Set<string>();
  for (let round = 0; round < 500; round++) {
    const [asked, end, charges] = [request(), callEnded(), Array.from({ length: upTo(3) }, charge)];
    const { caller, estimate } = asked;
    const output = Math.min(estimate.tokens, estimate.price?.outputTokens ?? 0);
    const nano = BigInt(number());
    const startedAt = 1_800_000_000_000 + upTo(10_000);
    const begun = records.begin(`id ${round}`, asked, { nano, outputTokenCap: undefined, charges }, startedAt);
    const lasting = {
      recordId: `id ${round}`,
      callId: asked.callId,
      operation: asked.operation,
      model: asked.model,
      keyId: caller.keyId,
      keyAlias: caller.keyAlias,
      userId: caller.userId,
      teamId: caller.teamId,
      endUser: caller.endUser,
      tags: caller.tags,
      stream: asked.stream,
      startedAt: timestampFromMs(startedAt),
      leaseOwner: owner,
      settlements: charges.map(settlementOf),
    };
    const interrupted = create(UsageRecordedSchema, {
      ...lasting,
      modelGroup: asked.model,
      status: UsageStatus.INTERRUPTED,
      usage: { inputTokens: BigInt(estimate.tokens - output), outputTokens: BigInt(output), estimated: true },
      cost: { nanoUsd: nano, state: estimate.price === undefined ? CostState.UNPRICED : CostState.PRICED },
    });
    assert.deepEqual(fromBinary(UsageRecordedSchema, begun.bytes), interrupted);
    const ended = create(UsageRecordedSchema, {
      ...lasting,
      ...end,
      endedAt: timestampFromMs(startedAt + 5),
      firstPayloadAt: end.firstPayloadAt === undefined ? undefined : timestampFromMs(end.firstPayloadAt),
    });
    assert.deepEqual(fromBinary(UsageRecordedSchema, records.end(begun, end, charges, startedAt + 5)), ended);
    for (const [name, value] of Object.entries(ended)) if (value && String(value) !== "") filled.add(name);
  }
  const fields = UsageRecordedSchema.fields.map(({ localName }) => localName);
  assert.deepEqual(
    fields.filter((name) => !filled.has(name)),
    [],
  );
});

test("an answer that was cut to what the budget pays is estimated at that", () => {
  const price = { ...oneNanoAToken(1000), choices: 2 };
  const asked = admissionRequest({ price, tokens: 1100 });
  const { bytes } = new CallRecords(owner).begin("id", asked, { nano: 500n, outputTokenCap: 200, charges: [] }, 0);
  const { usage } = fromBinary(UsageRecordedSchema, bytes);
  assert.equal(usage?.inputTokens, 100n);
  assert.equal(usage.outputTokens, 400n);
});

test("what comes from outside is bounded, and can be stored", () => {
  const records = new CallRecords(owner);
  const asked = { ...admissionRequest(), callId: "a\0b\ud800", model: "m".repeat(1000) };
  asked.caller.tags = Array.from({ length: 100 }, () => "t".repeat(300));
  const begun = records.begin("id", asked, { nano: 0n, outputTokenCap: undefined, charges: [] }, 0);
  const record = fromBinary(UsageRecordedSchema, records.end(begun, callEnd(1n), [], 1));
  assert.equal(record.callId, "a\uFFFDb\uFFFD");
  assert.equal(record.model, "m".repeat(256));
  assert.deepEqual(record.tags, Array(64).fill("t".repeat(256)));
  assert.equal(record.operation, Operation.CHAT_COMPLETIONS);
});

test("a record that cannot be encoded leaves nothing behind", () => {
  const records = new CallRecords(owner);
  const admitted = { nano: 0n, outputTokenCap: undefined, charges: [] };
  const begun = records.begin("id", admissionRequest(), admitted, 0);
  const broken = {
    ...callEnd(1n),
    get finishReason(): string {
      throw new Error("broken");
    },
  };
  assert.throws(() => records.end(begun, broken, [], 1), /broken/);
  assert.deepEqual(records.begin("id", admissionRequest(), admitted, 0).bytes, begun.bytes);
});
