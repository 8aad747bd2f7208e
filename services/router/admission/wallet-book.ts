import { type Client, Code, ConnectError } from "@connectrpc/connect";
import type { Grant, QuotaService } from "#gen/sluice/accounting/v1/quota_service_pb.ts";
import type { ScopeLimits } from "#gen/sluice/inference/v1/limits_pb.ts";
import type { AdmissionEvents } from "./events.ts";
import { type Return, Wallet } from "./wallet.ts";

export interface WalletBookOptions {
  /** The process, as accounting knows it. */
  readonly owner: string;
  readonly quota: Client<typeof QuotaService>;
  readonly clock: () => number;
  readonly events: Pick<AdmissionEvents, "leaseFailed" | "releaseFailed">;
  readonly idleReturnMs: number;
  /** The deadline of one call to accounting. */
  readonly timeoutMs: number;
}

/** One entry of a Lease. */
export interface Need {
  readonly wallet: Wallet;
  readonly need: Quantities;
  readonly want: Quantities;
  readonly partial: boolean;
}

export interface Quantities {
  readonly nanoUsd: bigint;
  readonly requests: bigint;
  readonly tokens: bigint;
  readonly parallel: bigint;
}

const nothing: Quantities = { nanoUsd: 0n, requests: 0n, tokens: 0n, parallel: 0n };
const scopesPerCall = 200;

/** All wallets of one process and their traffic with accounting. */
export class WalletBook {
  readonly #options: WalletBookOptions;
  readonly #wallets = new Map<string, Wallet>();
  #renewing = false;

  constructor(options: WalletBookOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#wallets.size;
  }

  /**
   * The wallet of a scope, made where there is none. It is kept while it is in use. What was leased under a higher limit
   * goes back before the next lease: otherwise calls that cost less than their estimate would live on it for minutes.
   */
  walletOf(limits: ScopeLimits): Wallet {
    const known = this.#wallets.get(limits.scope);
    if (known !== undefined) {
      if (known.limits !== limits && isLower(limits, known.limits)) known.drain(this.#options.clock());
      // Under a higher limit what was just refused may fit.
      if (known.limits !== limits && isLower(known.limits, limits)) known.gains += 1;
      known.limits = limits;
      return known;
    }
    const wallet = new Wallet(limits, this.#options.clock());
    this.#wallets.set(limits.scope, wallet);
    return wallet;
  }

  /** Tops up, and returns what was granted. Rejects with accounting's error. */
  async lease(needs: readonly Need[]): Promise<readonly Grant[]> {
    const { owner, quota, timeoutMs, clock } = this.#options;
    const scopes = needs.map(({ wallet, need, want, partial }) => {
      return { limits: wallet.limits, need, want, partial, empty: wallet.holdsNothing };
    });
    const { grants } = await quota.lease({ owner, scopes }, { timeoutMs });
    const now = clock();
    for (const [at, { wallet }] of needs.entries()) {
      const grant = grants[at];
      if (grant?.scope === wallet.scope) wallet.add(grant, now);
    }
    return grants;
  }

  /** Notes that the bus has a record with these scopes: their leases need not live for it any longer. */
  acked(scopes: readonly { readonly scope: string }[]): void {
    for (const { scope } of scopes) {
      const wallet = this.#wallets.get(scope);
      if (wallet === undefined || wallet.unacked === 0) continue;
      wallet.unacked -= 1;
      wallet.forgetDebt();
    }
  }

  /** Gives the unused part of a scope's wallet back at once: somebody else needs it. */
  async recall(scope: string): Promise<void> {
    const wallet = this.#wallets.get(scope);
    if (wallet === undefined) return;
    wallet.drain(this.#options.clock());
    await this.sendReturns([wallet]);
  }

  /** What an expired lease still holds goes back before the next lease, which would count it again. */
  async returnExpired(wallets: readonly Wallet[]): Promise<void> {
    const now = this.#options.clock();
    for (const wallet of wallets) if (wallet.expiresAt > 0 && !wallet.isLive(now)) wallet.drain(now);
    await this.sendReturns(wallets);
  }

  /** Call it about twice a second: gives idle wallets back, renews those in use, forgets the rest. */
  async tick(): Promise<void> {
    const now = this.#options.clock();
    const returning: Wallet[] = [];
    const renewing: Wallet[] = [];
    for (const wallet of this.#wallets.values()) {
      const idle = wallet.waiting === 0 && now - wallet.lastUsed >= this.#options.idleReturnMs;
      if (idle || (wallet.expiresAt > 0 && !wallet.isLive(now))) wallet.drain(now);
      returning.push(wallet);
      // A wallet without anything in it needs no lease; left alone, what got lost of it runs out with it.
      const used = !wallet.holdsNothing && (!idle || wallet.inFlight > 0 || wallet.unacked > 0);
      if (used && wallet.expiresAt > 0 && now >= wallet.renewAt) renewing.push(wallet);
    }
    await Promise.all([this.sendReturns(returning), this.#renew(renewing)]);
    this.#forget(now);
  }

  /** Gives everything back. `all` closes the leases too. */
  async close(all: boolean): Promise<void> {
    const now = this.#options.clock();
    for (const wallet of this.#wallets.values()) wallet.drain(now);
    await this.sendReturns([...this.#wallets.values()]);
    if (all) await this.#release([], true);
  }

  async sendReturns(wallets: readonly Wallet[]): Promise<void> {
    const now = this.#options.clock();
    const returns = wallets.flatMap((wallet) => wallet.takeReturns(now));
    for (let at = 0; at < returns.length; at += scopesPerCall) {
      await this.#release(returns.slice(at, at + scopesPerCall), false);
    }
  }

  /**
   * Sent once only: a return that arrives twice would give back more than there was. One that is lost stays reserved
   * until the lease runs out.
   */
  async #release(scopes: readonly Return[], all: boolean): Promise<void> {
    const { owner, quota, timeoutMs, events } = this.#options;
    try {
      await quota.release({ owner, scopes: [...scopes], all }, { timeoutMs });
    } catch (error) {
      events.releaseFailed(error);
    }
  }

  async #renew(wallets: readonly Wallet[]): Promise<void> {
    if (this.#renewing) return;
    this.#renewing = true;
    for (let at = 0; at < wallets.length; at += scopesPerCall)
      await this.#renewSome(wallets.slice(at, at + scopesPerCall));
    this.#renewing = false;
  }

  async #renewSome(wallets: readonly Wallet[]): Promise<void> {
    try {
      await this.lease(wallets.map((wallet) => ({ wallet, need: nothing, want: nothing, partial: false })));
    } catch (error) {
      const refused = ConnectError.from(error).code === Code.ResourceExhausted;
      if (!refused) return this.#options.events.leaseFailed(error);
      // One lease that ran out and no longer fits must not keep the others from being renewed.
      if (wallets.length > 1) for (const wallet of wallets) await this.#renewSome([wallet]);
      else for (const wallet of wallets) wallet.renewAt = this.#options.clock() + this.#options.idleReturnMs;
    }
  }

  #forget(now: number): void {
    for (const [scope, wallet] of this.#wallets) {
      if (now - wallet.lastUsed < this.#options.idleReturnMs) continue;
      wallet.forgetDebt();
      if (wallet.isEmpty) this.#wallets.delete(scope);
    }
  }
}

function isLower(limits: ScopeLimits, before: ScopeLimits): boolean {
  const lower = (now: number | bigint | undefined, then: number | bigint | undefined) =>
    now !== undefined && then !== undefined && now < then;
  return (
    lower(limits.maxBudgetNanoUsd, before.maxBudgetNanoUsd) ||
    lower(limits.rpmLimit, before.rpmLimit) ||
    lower(limits.tpmLimit, before.tpmLimit) ||
    lower(limits.maxParallelRequests, before.maxParallelRequests)
  );
}
