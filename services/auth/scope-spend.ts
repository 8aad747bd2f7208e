import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { callerHeaders } from "#chassis/caller-header.ts";
import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { AdminCaller } from "#gen/sluice/rest/v1/caller_pb.ts";
import type { RouteContext } from "./context.ts";

const timeoutMs = 3000;
/** Accounting looks through its whole ledger for it, and nobody waits. */
const forgetTimeoutMs = 30_000;
/** As many as one question to accounting may name. */
const batchSize = 1000;

/** What a scope spent in its current budget window. */
export interface WindowSpend {
  /** Billionths of a US dollar. */
  readonly spent: bigint;
  /** When the window ends; undefined where it never does. */
  readonly resetsAt: Timestamp | undefined;
}

/**
 * What each scope spent, in the order of the scopes.
 *
 * @throws UNAVAILABLE where accounting does not answer: nobody is shown a spend that may be wrong.
 */
export async function spentBy({ spend }: RouteContext, scopes: readonly string[]): Promise<WindowSpend[]> {
  const found: WindowSpend[] = [];
  for (let from = 0; from < scopes.length; from += batchSize) {
    const batch = scopes.slice(from, from + batchSize);
    try {
      const { spends } = await spend.getSpend({ scopes: batch }, { timeoutMs });
      found.push(...batch.map((_, at) => ({ spent: spends[at]?.spentNanoUsd ?? 0n, resetsAt: spends[at]?.resetsAt })));
    } catch (cause) {
      throw gatewayError(Reason.UNAVAILABLE, "The spend is not known now. Try again.", { retryAfterMs: 1000, cause });
    }
  }
  return found;
}

/** What one scope spent. */
export async function spentByOne(context: RouteContext, scope: string): Promise<WindowSpend> {
  const [found] = await spentBy(context, [scope]);
  return found ?? nothingSpent;
}

export const nothingSpent: WindowSpend = { spent: 0n, resetsAt: undefined };

/**
 * Sets what a scope spent in its current window, and returns what was there. Accounting records it in the audit as the
 * caller's change.
 *
 * @throws UNAVAILABLE
 */
export async function setSpend(
  { spend }: RouteContext,
  caller: AdminCaller,
  scope: string,
  spentNanoUsd: bigint,
): Promise<bigint> {
  try {
    const options = { timeoutMs, headers: callerHeaders(caller) };
    const { previousNanoUsd } = await spend.setSpend({ scope, spentNanoUsd }, options);
    return previousNanoUsd;
  } catch (cause) {
    throw gatewayError(Reason.UNAVAILABLE, "The spend cannot be set now. Try again.", { retryAfterMs: 1000, cause });
  }
}

/** Gives a scope, and those beneath it, what another has spent. @throws UNAVAILABLE */
export async function copySpend({ spend }: RouteContext, fromScope: string, toScope: string): Promise<void> {
  try {
    await spend.copySpend({ fromScope, toScope }, { timeoutMs });
  } catch (cause) {
    throw gatewayError(Reason.UNAVAILABLE, "The spend cannot be moved now. Try again.", { retryAfterMs: 1000, cause });
  }
}

/** Has accounting forget what scopes, and those beneath them, have spent. @throws what accounting fails with. */
export async function forgetSpend({ spend }: RouteContext, scopes: readonly string[]): Promise<void> {
  await spend.forgetSpend({ scopes: [...scopes] }, { timeoutMs: forgetTimeoutMs });
}

const mostSpenders = 1000;

/** Who has spent in its current window, of a kind of scopes, by name, the dearest first. @throws UNAVAILABLE */
export async function spenders({ spend }: RouteContext, kind: string): Promise<Map<string, WindowSpend>> {
  try {
    const { spends } = await spend.listSpenders({ kind, limit: mostSpenders }, { timeoutMs });
    return new Map(
      spends.map(({ scope, spentNanoUsd, resetsAt }) => [
        scope.slice(kind.length + 1),
        { spent: spentNanoUsd, resetsAt },
      ]),
    );
  } catch (cause) {
    throw gatewayError(Reason.UNAVAILABLE, "The spend is not known now. Try again.", { retryAfterMs: 1000, cause });
  }
}
