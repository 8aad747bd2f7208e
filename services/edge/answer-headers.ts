import type { Finished, Started } from "#gen/sluice/inference/v1/inference_pb.ts";
import { CostState } from "#gen/sluice/inference/v1/usage_pb.ts";

/** Provider headers that may reach a client: those that an adapter has prefixed, and rate limits. */
const providerHeader = /^(?:llm_provider-[\w-]+|x-ratelimit-[\w-]+|retry-after)$/;
const printable = /^[\x20-\x7e]*$/;

/** What is known of an answer when it starts. Names and values in turn. */
export function startedHeaders(started: Started | undefined): string[] {
  if (started === undefined) return [];
  const headers = [
    "x-litellm-model-id",
    headerValue(started.deployment),
    "x-litellm-model-group",
    headerValue(started.modelGroup),
    "x-litellm-attempted-retries",
    String(started.attemptedRetries),
    "x-litellm-attempted-fallbacks",
    String(started.attemptedFallbacks),
  ];
  for (const name in started.headers) {
    const value = started.headers[name];
    if (value !== undefined && providerHeader.test(name) && printable.test(value)) headers.push(name, value);
  }
  return headers;
}

/** Adds what is known of an answer at its end: its cost, or that nobody knows it. */
export function addFinishedHeaders(headers: string[], { cost }: Finished): void {
  if (cost?.state === CostState.PRICED) headers.push("x-litellm-response-cost", formatUsd(cost.nanoUsd));
  else if (cost?.state === CostState.UNPRICED) headers.push("x-sluice-cost-state", "unpriced");
}

/** Billionths of a dollar as a decimal number of dollars, without an exponent. */
export function formatUsd(nanoUsd: bigint): string {
  const sign = nanoUsd < 0n ? "-" : "";
  const digits = (nanoUsd < 0n ? -nanoUsd : nanoUsd).toString().padStart(10, "0");
  const point = digits.length - 9;
  let end = digits.length;
  while (end > point + 1 && digits.endsWith("0", end)) end -= 1;
  return `${sign}${digits.slice(0, point)}.${digits.slice(point, end)}`;
}

/** Names of a configuration may be written in any script; a header may not. */
function headerValue(text: string): string {
  return printable.test(text) ? text : encodeURIComponent(text.toWellFormed());
}
