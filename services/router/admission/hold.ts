import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { Charge } from "./record-fields.ts";
import type { TokenDraw, Wallet } from "./wallet.ts";

/** One scope of a call. Without limits it has no wallet. */
export interface CallScope {
  readonly scope: string;
  readonly wallet: Wallet | undefined;
  /** The limits that hold, a set of `limited`. */
  readonly kinds: number;
}

/** What a call took out of the wallets of its scopes: from all of them or from none. */
export class Hold {
  /** Nano-USD, the same on every scope with a budget. */
  readonly nano: bigint;
  readonly tokens: number;
  readonly #scopes: readonly CallScope[];
  readonly #draws: readonly (TokenDraw[] | undefined)[];

  private constructor(scopes: readonly CallScope[], nano: bigint, tokens: number, now: number) {
    this.#scopes = scopes;
    this.nano = nano;
    this.tokens = tokens;
    this.#draws = scopes.map(({ wallet, kinds }) => wallet?.take(kinds, nano, tokens, now));
  }

  /** Takes from every scope, or returns undefined where one has too little. */
  static tryTake(scopes: readonly CallScope[], nano: bigint, tokens: number, now: number): Hold | undefined {
    for (const { wallet, kinds } of scopes) {
      if (wallet !== undefined && !wallet.covers(kinds, nano, tokens, now)) return undefined;
    }
    return new Hold(scopes, nano, tokens, now);
  }

  /** What the record charges if the process dies before the call ends: everything held. */
  reserved(): Charge[] {
    return this.#scopes.map(({ scope }, at) => {
      const draws = this.#draws[at];
      return {
        scope,
        nano: this.nano,
        tokens: this.tokens,
        leasedAt: leasedAt(draws),
        leasedTokens: draws && this.tokens,
      };
    });
  }

  /** Ends a call that cost something. Returns what each scope is charged. */
  settle(nano: bigint, tokens: number, now: number): Charge[] {
    return this.#scopes.map(({ scope, wallet, kinds }, at) => {
      const draws = this.#draws[at];
      wallet?.giveBack(kinds, this.nano - nano, now);
      if (wallet !== undefined) wallet.unacked += 1;
      if (wallet === undefined || draws === undefined) {
        return { scope, nano, tokens, leasedAt: undefined, leasedTokens: undefined };
      }
      const putBack = putBackTokens(wallet, draws, this.tokens - tokens, now);
      return { scope, nano, tokens, leasedAt: leasedAt(draws), leasedTokens: this.tokens - putBack };
    });
  }

  /** Ends a call that cost nothing: all but the request comes back. */
  void(now: number): void {
    for (const [at, { wallet, kinds }] of this.#scopes.entries()) {
      wallet?.giveBack(kinds, this.nano, now);
      const draws = this.#draws[at];
      if (wallet === undefined || draws === undefined) continue;
      putBackTokens(wallet, draws, this.tokens, now);
      for (const draw of draws) if (draw.tokens > 0) wallet.returnTokens(draw);
    }
  }
}

/** Puts up to `tokens` back, the newest first, as far as their tranches still live. Returns how many. */
function putBackTokens(wallet: Wallet, draws: readonly TokenDraw[], tokens: number, now: number): number {
  let rest = tokens;
  for (let at = draws.length - 1; at >= 0 && rest > 0; at -= 1) {
    const draw = draws[at];
    if (draw === undefined) continue;
    const part = Math.min(rest, draw.tokens);
    if (wallet.giveBackTokens(draw, part, now)) rest -= part;
  }
  return tokens > 0 ? tokens - rest : 0;
}

/** The newest part of the window that tokens came from: it lasts longest, and a correction should still find it. */
function leasedAt(draws: readonly TokenDraw[] | undefined): Timestamp | undefined {
  return draws?.at(-1)?.tranche.leasedAt;
}
