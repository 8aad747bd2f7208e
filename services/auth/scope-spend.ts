import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { RouteContext } from "./context.ts";

const timeoutMs = 3000;
/** As many as one question to accounting may name. */
const batchSize = 1000;

/**
 * What each scope spent in its current budget window, billionths of a US dollar, in the order of the scopes.
 *
 * @throws UNAVAILABLE where accounting does not answer: nobody is shown a spend that may be wrong.
 */
export async function spentBy({ spend }: RouteContext, scopes: readonly string[]): Promise<bigint[]> {
  const spent: bigint[] = [];
  for (let from = 0; from < scopes.length; from += batchSize) {
    const batch = scopes.slice(from, from + batchSize);
    try {
      const { spends } = await spend.getSpend({ scopes: batch }, { timeoutMs });
      spent.push(...batch.map((_, index) => spends[index]?.spentNanoUsd ?? 0n));
    } catch (cause) {
      throw gatewayError(Reason.UNAVAILABLE, "The spend is not known now. Try again.", { retryAfterMs: 1000, cause });
    }
  }
  return spent;
}
