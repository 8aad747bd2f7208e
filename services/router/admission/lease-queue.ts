import { Code, ConnectError } from "@connectrpc/connect";
import { findGatewayError } from "#chassis/errors.ts";
import type { GatewayError } from "#gen/sluice/error/v1/error_pb.ts";
import { affordableOutput, type Claim, ceilPerMillion, missing } from "./claim.ts";
import type { AdmissionConfig } from "./config.ts";
import type { AdmissionEvents } from "./events.ts";
import { type CallScope, Hold } from "./hold.ts";
import { budgetTooSmall, refusalOf, unavailable } from "./lease-refusal.ts";
import { limited, type Wallet } from "./wallet.ts";
import type { Need, Quantities, WalletBook } from "./wallet-book.ts";

export interface Granted {
  readonly hold: Hold;
  readonly outputTokenCap: number | undefined;
}

export interface LeaseQueueOptions {
  readonly book: WalletBook;
  readonly clock: () => number;
  readonly events: Pick<AdmissionEvents, "leaseFailed">;
  readonly config: Pick<AdmissionConfig, "leaseWaitMs" | "refusalMemoryMs">;
}

interface Waiter {
  readonly claim: Claim;
  readonly since: number;
  grant(granted: Granted): void;
  refuse(error: ConnectError): void;
}

interface Refusal {
  readonly error: ConnectError;
  readonly claim: Claim;
  readonly until: number;
  /** The gains of the wallets at that moment. */
  readonly gains: number;
}

type LimitedScope = CallScope & { readonly wallet: Wallet };

const maxWaiting = 10_000;
const maxAhead = 10_000;
/** After a refusal, leases ahead of time rest for so long. */
const prefetchPauseMs = 1000;

/**
 * The calls of one set of scopes whose wallets did not suffice. One Lease is under way at a time; calls are served in
 * the order they came. A refusal refuses the call whose need it was, and for a moment every call that needs as much.
 */
export class LeaseQueue {
  readonly #options: LeaseQueueOptions;
  readonly #scopes: readonly LimitedScope[];
  readonly #waiters: Waiter[] = [];
  #refusal: Refusal | undefined;
  #failures = 0;
  #fruitless = 0;
  #running = false;
  #prefetchAfter = 0;

  constructor(options: LeaseQueueOptions, scopes: readonly CallScope[]) {
    this.#options = options;
    this.#scopes = scopes.filter((scope): scope is LimitedScope => scope.wallet !== undefined);
    for (const { wallet } of this.#scopes) wallet.pins += 1;
  }

  /** Lets go of the wallets. Only where `isIdle`. */
  dispose(): void {
    for (const { wallet } of this.#scopes) wallet.pins -= 1;
  }

  /** Whether it can be dropped. */
  isIdle(now: number): boolean {
    return !this.#running && (this.#refusal === undefined || this.#refusal.until <= now);
  }

  /** Waits until the wallets hold what the call needs. Rejects where a limit says no or accounting does not answer. */
  wait(claim: Claim, signal: AbortSignal): Promise<Granted> {
    const refusal = this.#rememberedRefusal(claim);
    if (refusal !== undefined) return Promise.reject(refusal);
    if (this.#waiters.length >= maxWaiting) return Promise.reject(unavailable());
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#remove(waiter);
        reject(new ConnectError("the call was cancelled", Code.Canceled));
      };
      const waiter: Waiter = {
        claim,
        since: this.#options.clock(),
        grant: (granted) => {
          signal.removeEventListener("abort", leave);
          resolve(granted);
        },
        refuse: (error) => {
          signal.removeEventListener("abort", leave);
          reject(error);
        },
      };
      signal.addEventListener("abort", leave, { once: true });
      this.#waiters.push(waiter);
      this.#countWaiting(1);
      if (!this.#running) void this.#run();
    });
  }

  /** Tops the wallets up before they are empty. A refusal here is nobody's: it shows when a call meets the limit. */
  prefetch(claim: Claim): void {
    if (!this.#running && this.#options.clock() >= this.#prefetchAfter) void this.#run(claim);
  }

  async #run(ahead?: Claim): Promise<void> {
    this.#running = true;
    this.#failures = 0;
    if (ahead !== undefined) await this.#lookAhead(ahead);
    this.#serve();
    while (this.#waiters.length > 0) {
      await this.#round();
      this.#serve();
    }
    this.#running = false;
  }

  /** Gives every call its part, in order, up to the first that does not fit; refuses what was just refused. */
  #serve(): void {
    const now = this.#options.clock();
    for (let head = this.#waiters[0]; head !== undefined; head = this.#waiters[0]) {
      const { claim } = head;
      const hold = Hold.tryTake(claim.scopes, claim.nano, claim.tokens, now);
      const refusal = hold === undefined ? this.#rememberedRefusal(claim) : undefined;
      if (hold !== undefined) head.grant({ hold, outputTokenCap: undefined });
      else if (refusal !== undefined) head.refuse(refusal);
      else if (this.#failures > 0 && now - head.since >= this.#options.config.leaseWaitMs) head.refuse(unavailable());
      else return;
      this.#remove(head);
    }
  }

  async #lookAhead({ nano, tokens }: Claim): Promise<void> {
    const one = { nanoUsd: nano, requests: 1n, tokens: BigInt(tokens), parallel: 0n };
    try {
      await this.#options.book.lease(this.#wants(nano, tokens, () => one));
    } catch {
      this.#prefetchAfter = this.#options.clock() + prefetchPauseMs;
    }
  }

  /** One Lease for the first call, and as much more as the others and the recent demand suggest. */
  async #round(): Promise<void> {
    const head = this.#waiters[0];
    if (head === undefined) return;
    await this.#options.book.returnExpired(this.#scopes.map(({ wallet }) => wallet));
    const needs = this.#needs(head.claim);
    try {
      const grants = await this.#options.book.lease(needs);
      const short = needs.filter(({ need }, at) => (grants[at]?.granted?.nanoUsd ?? 0n) < need.nanoUsd);
      if (short.length > 0 && short.every(({ partial }) => partial)) await this.#admitPartly(head);
      else await this.#noteFruit(head.claim);
    } catch (error) {
      const detail = refusalOf(error);
      if (detail === undefined) await this.#pause(error);
      else if (!(await this.#emptyPurse(detail, needs))) this.#refuse(head, ConnectError.from(error));
    }
  }

  /**
   * The rest of a budget may be in this very wallet, where accounting cannot hand it out. It goes back, so that the next
   * round gets it as the rest. False where there is none.
   */
  async #emptyPurse({ limitType }: GatewayError, needs: readonly Need[]): Promise<boolean> {
    const purses = needs.filter(({ partial, wallet }) => partial && wallet.nano > 0n);
    if (limitType !== "budget" || purses.length === 0) return false;
    for (const { wallet } of purses) await this.#options.book.recall(wallet.scope);
    return true;
  }

  /**
   * A lease can bring too little: another set of scopes was faster, which happens, or it is over when it arrives because
   * two clocks are far apart, which would go on for ever.
   */
  async #noteFruit({ nano, tokens }: Claim): Promise<void> {
    const now = this.#options.clock();
    const fits = this.#scopes.every(({ wallet, kinds }) => wallet.covers(kinds, nano, tokens, now));
    this.#fruitless = fits ? 0 : this.#fruitless + 1;
    if (fits) this.#failures = 0;
    else if (this.#fruitless >= 3) await this.#pause("leases do not cover what was asked for");
  }

  async #pause(error: unknown): Promise<void> {
    this.#options.events.leaseFailed(error);
    const delay = Math.min(500, 25 * 2 ** this.#failures);
    this.#failures += 1;
    await new Promise((resolve) => setTimeout(resolve, delay));
  }

  #needs({ nano, tokens, price }: Claim): Need[] {
    const now = this.#options.clock();
    const capped = price !== undefined && price.outputTokens > 0 && price.outputNanoUsdPerMillion > 0n;
    const needs = this.#wants(nano, tokens, ({ wallet, kinds }) => missing(wallet, kinds, nano, tokens, now));
    return needs.map((need, at) => {
      const kinds = this.#scopes[at]?.kinds ?? 0;
      return { ...need, partial: capped && (kinds & limited.budget) !== 0 && need.wallet.inFlight === 0 };
    });
  }

  /** What is needed, and as much more as those who wait and the demand suggest. Slots come back by themselves. */
  #wants(nano: bigint, tokens: number, needOf: (scope: LimitedScope) => Quantities): Need[] {
    const now = this.#options.clock();
    const others = Math.max(0, this.#waiters.length - 1);
    return this.#scopes.map((scope) => {
      const { wallet, kinds } = scope;
      const all = needOf(scope);
      const ahead = BigInt(Math.min(maxAhead, others + wallet.refill(now)));
      const slots = BigInt(others + Math.ceil(wallet.inFlight / 2));
      const when = (kind: number, amount: bigint) => ((kinds & kind) === 0 ? 0n : amount);
      const need = {
        nanoUsd: when(limited.budget, all.nanoUsd),
        requests: when(limited.requests, all.requests),
        tokens: when(limited.tokens, all.tokens),
        parallel: when(limited.parallel, all.parallel),
      };
      const want = {
        nanoUsd: need.nanoUsd + when(limited.budget, ahead * nano),
        requests: need.requests + when(limited.requests, ahead),
        tokens: need.tokens + when(limited.tokens, ahead * BigInt(tokens)),
        parallel: need.parallel + when(limited.parallel, slots),
      };
      return { wallet, need, want, partial: false };
    });
  }

  /** The rest of a budget pays for less than the call may cost: it is made with a lower output limit, or not. */
  async #admitPartly(head: Waiter): Promise<void> {
    this.#failures = 0;
    const { claim } = head;
    if (claim.price === undefined || this.#waiters[0] !== head) return;
    const purse = this.#scopes
      .filter(({ kinds }) => (kinds & limited.budget) !== 0)
      .reduce((least, { wallet }) => (wallet.nano < least ? wallet.nano : least), claim.nano);
    const cap = affordableOutput(claim.price, purse);
    if (cap < 1) {
      this.#refuse(head, budgetTooSmall());
      for (const { scope } of this.#scopes) await this.#options.book.recall(scope);
      return;
    }
    const { inputNanoUsd, outputNanoUsdPerMillion, choices } = claim.price;
    const nano = inputNanoUsd + ceilPerMillion(BigInt(cap) * BigInt(choices) * outputNanoUsdPerMillion);
    const hold = Hold.tryTake(claim.scopes, nano, claim.tokens, this.#options.clock());
    if (hold === undefined) return;
    this.#remove(head);
    head.grant({ hold, outputTokenCap: cap });
  }

  #refuse(head: Waiter, error: ConnectError): void {
    this.#failures = 0;
    const until = this.#options.clock() + this.#options.config.refusalMemoryMs;
    this.#refusal = { error, claim: head.claim, until, gains: this.#gains() };
    if (this.#remove(head)) head.refuse(error);
  }

  /** The refusal that a claim would meet again: nothing came back since, and it needs no less. */
  #rememberedRefusal(claim: Claim): ConnectError | undefined {
    const refusal = this.#refusal;
    if (refusal === undefined) return undefined;
    if (refusal.until <= this.#options.clock() || refusal.gains !== this.#gains()) {
      this.#refusal = undefined;
      return undefined;
    }
    const limit = findGatewayError(refusal.error)?.limitType;
    const smaller =
      (limit === "budget" && claim.nano < refusal.claim.nano) ||
      (limit === "tokens" && claim.tokens < refusal.claim.tokens);
    return smaller ? undefined : refusal.error;
  }

  #gains(): number {
    let sum = 0;
    for (const { wallet } of this.#scopes) sum += wallet.gains;
    return sum;
  }

  #remove(waiter: Waiter): boolean {
    const at = this.#waiters.indexOf(waiter);
    if (at < 0) return false;
    this.#waiters.splice(at, 1);
    this.#countWaiting(-1);
    return true;
  }

  #countWaiting(by: number): void {
    for (const { wallet } of this.#scopes) wallet.waiting += by;
  }
}
