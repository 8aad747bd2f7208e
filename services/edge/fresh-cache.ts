import { ConnectError } from "@connectrpc/connect";
import { findGatewayError } from "#chassis/errors.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";

export interface FreshCacheOptions<V> {
  /**
   * Asks who knows. UNAVAILABLE means that nobody could tell; what else it rejects with is passed on and not kept.
   * `nobodyWaits` where an old value is served meanwhile.
   */
  readonly load: (key: string, nobodyWaits: boolean) => Promise<V>;
  /** Whether a value says that there is no such thing. Such values have a bound of their own, so that guesses push nothing out. */
  readonly isAbsent: (value: V) => boolean;
  /** Bounds the values, and those that are absent, each. */
  readonly entries: number;
  readonly freshMs: number;
  readonly staleMs: number;
  /** Milliseconds on any clock that does not go back. */
  readonly now: () => number;
}

interface Entry<V> {
  readonly value: V;
  readonly fetchedAt: number;
}

/** After nobody has answered, callers with an old value do not wait for it again for this long. */
const outageMs = 5_000;

/**
 * Answers from memory. A value in use is asked for again, in the background, after half of its fresh time, so that no
 * call waits. A value that was not in use for its fresh time is asked for before it is served: that bounds how long a
 * change can go unnoticed whose event was lost. Only while nobody answers is an old value served.
 */
export class FreshCache<V> {
  readonly #options: FreshCacheOptions<V>;
  readonly #known = new Map<string, Entry<V>>();
  readonly #absent = new Map<string, Entry<V>>();
  readonly #asked = new Map<string, Promise<V>>();
  #unansweredAt = Number.NEGATIVE_INFINITY;

  constructor(options: FreshCacheOptions<V>) {
    this.#options = options;
  }

  /**
   * `beforeAsking` is called where a value that is not in memory is about to be asked for; it may throw to prevent that.
   * `load` asks in place of the usual way, where the key alone does not say what to ask.
   *
   * @throws what `load` does, where no old value can stand in.
   */
  get(key: string, beforeAsking?: () => void, load = this.#options.load): V | Promise<V> {
    const { freshMs, staleMs } = this.#options;
    const now = this.#options.now();
    const entry = this.#known.get(key);
    if (entry === undefined) {
      const absent = this.#absent.get(key);
      if (absent !== undefined && now - absent.fetchedAt < freshMs) return absent.value;
      beforeAsking?.();
      return this.#ask(key, load);
    }
    const age = now - entry.fetchedAt;
    if (age < freshMs) {
      if (age >= freshMs / 2) this.#askInBackground(key, load);
      return entry.value;
    }
    if (age >= staleMs) return this.#ask(key, load);
    if (now - this.#unansweredAt < outageMs) {
      this.#askInBackground(key, load);
      return entry.value;
    }
    return this.#ask(key, load).catch((error: unknown) => {
      if (isUnavailable(error)) return entry.value;
      throw error;
    });
  }

  /** Forgets a key. An answer under way is not kept either: it may be older than the change. */
  drop(key: string): void {
    this.#known.delete(key);
    this.#absent.delete(key);
    this.#asked.delete(key);
  }

  /** Forgets every value that a change concerns. Nobody knows yet whom the answers under way concern: none is kept. */
  dropWhere(concerned: (value: V) => boolean): void {
    for (const [key, { value }] of this.#known) if (concerned(value)) this.#known.delete(key);
    this.#asked.clear();
  }

  #askInBackground(key: string, load: FreshCacheOptions<V>["load"]): void {
    if (!this.#asked.has(key)) this.#ask(key, load, true).catch(() => {});
  }

  /** Callers that ask for the same key at the same time share one question. */
  #ask(key: string, load: FreshCacheOptions<V>["load"], nobodyWaits = false): Promise<V> {
    const running = this.#asked.get(key);
    if (running !== undefined) return running;
    const asked = load(key, nobodyWaits).then(
      (value) => {
        if (this.#settle(key, asked)) this.#remember(key, value);
        return value;
      },
      (error: unknown) => {
        this.#settle(key, asked);
        if (isUnavailable(error)) this.#unansweredAt = this.#options.now();
        throw error;
      },
    );
    this.#asked.set(key, asked);
    return asked;
  }

  /** Whether the answer may be kept: false where the key was dropped since the question. */
  #settle(key: string, asked: Promise<V>): boolean {
    return this.#asked.get(key) === asked && this.#asked.delete(key);
  }

  #remember(key: string, value: V): void {
    const absent = this.#options.isAbsent(value);
    (absent ? this.#known : this.#absent).delete(key);
    const entry = { value, fetchedAt: this.#options.now() };
    setBounded(absent ? this.#absent : this.#known, key, entry, this.#options.entries);
  }
}

/** Sets the youngest entry and forgets the oldest beyond the bound. Keys in use are set again whenever asked for. */
function setBounded<V>(map: Map<string, V>, key: string, value: V, bound: number): void {
  map.delete(key);
  map.set(key, value);
  if (map.size <= bound) return;
  const oldest = map.keys().next();
  if (!oldest.done) map.delete(oldest.value);
}

function isUnavailable(error: unknown): boolean {
  return findGatewayError(ConnectError.from(error))?.reason === Reason.UNAVAILABLE;
}
