import { create } from "@bufbuild/protobuf";
import { TargetSchema } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { Deployment } from "../registry/deployment.ts";
import { createHealth } from "../routing/cooldowns.ts";

/** A deployment for tests, without a price. */
export function deployment(id: string, own: Partial<Deployment> = {}): Deployment {
  return {
    id,
    provider: "openai",
    target: create(TargetSchema),
    missingVariable: undefined,
    weight: undefined,
    rpm: undefined,
    tpm: undefined,
    order: 0,
    timeoutMs: 1000,
    streamTimeoutMs: undefined,
    numRetries: 2,
    cooldownMs: undefined,
    assumedOutputTokens: 100,
    price: () => undefined,
    health: createHealth(),
    ...own,
  };
}
