import { Operation } from "#gen/sluice/inference/v1/inference_pb.ts";
import type { InferRequest } from "#gen/sluice/inference/v1/inference_service_pb.ts";
import type { ScopeLimits } from "#gen/sluice/inference/v1/limits_pb.ts";
import type { Estimate } from "../admission/admission.ts";
import { hasBudget } from "../admission/wallet.ts";
import { dearestInput, dearestOutput, ratesFor } from "../prices/price.ts";
import type { Deployment } from "../registry/deployment.ts";
import type { ModelGroup } from "../registry/registry.ts";

/** Vectors and ranks are no tokens. */
const withoutOutput: ReadonlySet<Operation> = new Set([
  Operation.EMBEDDINGS,
  Operation.RERANK,
  Operation.EMBED_CONTENT,
]);

const million = 1_000_000n;
/** More output than any call has; a client can multiply its limit by its choices to more than an integer holds. */
const maxOutputTokens = 100_000_000_000;
/** How many calls without an output limit fit into any limit of tokens a minute. */
const assumedCallsPerMinute = 8;

/**
 * What a call may cost at most, over every deployment it can reach, fallbacks included. Input is the edge's estimate at
 * the dearest way to bill it (a cache write, say). Output is the client's limit, else what is assumed of the deployment,
 * of which a limit of tokens a minute counts a part at most.
 * Deployments without a known price do not count; if none has one, the price is unknown.
 */
export function estimateCall(request: InferRequest, groups: readonly ModelGroup[], now: number): Estimate {
  const inputTokens = request.shape?.inputTokens ?? 0;
  const choices = Math.max(1, request.shape?.choices ?? 1);
  const exactInput = BigInt(inputTokens);
  let perOutput = 0n;
  let perInput = 0n;
  let perSearch = 0n;
  let output = 0;
  let priced = false;
  for (const { deployments } of groups) {
    for (const deployment of deployments) {
      output = Math.max(output, outputTokens(request, deployment));
      const price = deployment.price(now);
      if (price === undefined) continue;
      priced = true;
      const rates = ratesFor(price, exactInput);
      const inputRate = dearestInput(rates);
      const outputRate = dearestOutput(rates);
      if (inputRate > perInput) perInput = inputRate;
      if (outputRate > perOutput) perOutput = outputRate;
      if (rates.toolCall > perSearch) perSearch = rates.toolCall;
    }
  }
  const searches = BigInt(request.shape?.searchUnits ?? 0) * perSearch;
  const outputTotal = Math.min(output * choices, maxOutputTokens);
  const isLimited = request.shape?.maxOutputTokens !== undefined;
  const counted = isLimited ? outputTotal : Math.min(outputTotal, mostAssumed(request.caller?.scopes ?? []));
  return {
    tokens: inputTokens + counted,
    price: priced
      ? {
          inputNanoUsd: (exactInput * perInput + searches + million - 1n) / million,
          outputNanoUsdPerMillion: perOutput,
          outputTokens: outputTotal,
          choices,
        }
      : undefined,
  };
}

/**
 * The most output that is assumed where tokens a minute are limited: a model's maximum is often more than the limit, and
 * no call would ever fit. Beyond what was assumed, tokens count when the call has ended.
 */
function mostAssumed(scopes: readonly ScopeLimits[]): number {
  let most = maxOutputTokens;
  for (const { tpmLimit } of scopes) {
    if (tpmLimit !== undefined) most = Math.min(most, Math.ceil(Number(tpmLimit) / assumedCallsPerMinute));
  }
  return most;
}

function outputTokens({ operation, shape }: InferRequest, deployment: Deployment): number {
  if (withoutOutput.has(operation)) return 0;
  return shape?.maxOutputTokens ?? deployment.assumedOutputTokens;
}

/**
 * The output limit for the upstream call: what the budget pays (`admitted`), and, where a budget applies, output costs
 * money and the client set no limit, what the estimate assumed of the deployment, so that an answer cannot outgrow its
 * reservation.
 */
export function outputCap(
  request: InferRequest,
  deployment: Deployment,
  admitted: number | undefined,
  now: number,
): number | undefined {
  if (withoutOutput.has(request.operation)) return undefined;
  if (request.shape?.maxOutputTokens !== undefined || !hasBudget(request.caller?.scopes ?? [])) return admitted;
  const price = deployment.price(now);
  if (price === undefined || dearestOutput(price.base) === 0n) return admitted;
  const assumed = deployment.assumedOutputTokens;
  return admitted === undefined ? assumed : Math.min(admitted, assumed);
}
