import type { ConnectError } from "@connectrpc/connect";
import { gatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";
import type { Refusal } from "./grant.ts";

/** The words for scopes in LiteLLM's messages. */
const descriptors: Readonly<Record<string, string>> = { key: "api_key" };

/** The error of a refusal, in LiteLLM's words. It is read by clients: it never contains a whole key hash. */
export function denial(refusal: Refusal, nowMs: number): ConnectError {
  return refusal.type === "budget" ? budgetDenial(refusal) : rateDenial(refusal, nowMs);
}

function budgetDenial({ need, state, available, retryAfterMs }: Refusal): ConnectError {
  const limit = need.limits.budgetNanoUsd ?? 0n;
  const reserved = state.own.nanoUsd + state.others.nanoUsd;
  const left = available > 0n ? available : 0n;
  const detail =
    state.ledger.spent >= limit
      ? ""
      : `. ${usd(left)} is left beside ${usd(reserved)} reserved by calls in flight, ${usd(need.need.nanoUsd)} is needed`;
  return gatewayError(
    Reason.BUDGET_EXCEEDED,
    `Budget has been exceeded! Current cost: ${usd(state.ledger.spent)}, Max budget: ${usd(limit)}${detail}`,
    { limitType: "budget", retryAfterMs },
  );
}

function rateDenial({ type, need, available, retryAfterMs }: Refusal, nowMs: number): ConnectError {
  const limit =
    type === "requests" ? need.limits.requests : type === "tokens" ? need.limits.tokens : need.limits.parallel;
  const remaining = available > 0n ? available : 0n;
  const resets =
    retryAfterMs === undefined
      ? "never, the call is larger than the limit"
      : new Date(nowMs + retryAfterMs).toISOString().replace("T", " ").replace(/\..*/, " UTC");
  return gatewayError(
    Reason.RATE_LIMITED,
    `Rate limit exceeded for ${describe(need.scope)}. Limit type: ${type}. ` +
      `Current limit: ${limit ?? 0n}, Remaining: ${remaining}. Limit resets at: ${resets}`,
    { limitType: type, retryAfterMs },
  );
}

/** `api_key: 1a2b3c4d` for `key:1a2b3c4d…`; the names of users and teams are shown whole, as far as they are sane. */
function describe(scope: string): string {
  const colon = scope.indexOf(":");
  const kind = scope.slice(0, colon);
  const name = scope.slice(colon + 1);
  return `${descriptors[kind] ?? kind}: ${kind === "key" ? name.slice(0, 8) : name.slice(0, 100)}`;
}

/** US dollars of a nano-USD amount, exact and without trailing zeros. */
export function usd(nano: bigint): string {
  const digits = (nano < 0n ? -nano : nano).toString().padStart(10, "0");
  const fraction = digits.slice(-9).replace(/0+$/, "");
  const whole = `${nano < 0n ? "-" : ""}${digits.slice(0, -9)}`;
  return fraction === "" ? whole : `${whole}.${fraction}`;
}
