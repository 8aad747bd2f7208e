import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { ConfigurationError } from "#chassis/environment.ts";
import { gatewayError } from "#chassis/errors.ts";
import { errorText, type Logger } from "#chassis/log.ts";
import { createSealer, type KeyedSealer, keyIdOf, type Sealer } from "#chassis/sealing.ts";
import { Secret } from "#chassis/secret.ts";
import { type GivenKeys, givenSealers, unwrap, type Wrapping } from "#chassis/wrapping.ts";
import { Reason } from "#gen/sluice/error/v1/error_pb.ts";

/**
 * The sealer of a process. It seals under the one key-encryption key of the mesh, which it holds in memory: whatever
 * happens to salt and master keys, a running process goes on. Until it has that key it seals under what it was given
 * itself, and others that were given the same can open that.
 */
export interface Keyring extends Sealer {
  /** Whether the key-encryption key is there. What is stored is sealed under no other. */
  readonly isOpen: boolean;
  /**
   * Opens what was sealed. It never waits: something that is sealed under a key that is not known lets the keyring fetch
   * the wrappings again meanwhile.
   *
   * @throws UNAVAILABLE where it does not open now.
   */
  open(sealed: Uint8Array): Secret;
  /** The key-encryption key, sealed under another key. @throws UNAVAILABLE where it is not there. */
  wrap(under: Secret): { readonly id: string; readonly wrapped: Uint8Array };
  /** Fetches the wrappings and opens one. Rejects as the source does, and with what `unwrap` throws. */
  refresh(): Promise<void>;
  /** Calls back whenever another key-encryption key is the one to seal under. */
  onChange(listener: () => void): void;
}

export interface KeyringOptions {
  readonly given: GivenKeys;
  /** Where the wrappings come from. */
  readonly load: () => Promise<readonly Wrapping[]>;
  readonly log: Logger;
  /** Ends all trying. */
  readonly signal: AbortSignal;
  /** The pause before the next try, while there is no key-encryption key. */
  readonly retryMs?: number;
}

/** A new key-encryption key: random, and never seen by a person. */
export function mintKeyEncryptionKey(): Secret {
  return new Secret(randomBytes(32).toString("base64"));
}

/**
 * A keyring, opened. Where the source does not answer within `patienceMs` it is handed out as it is, and goes on trying.
 *
 * @throws ConfigurationError where the source answers and nothing opens.
 */
export async function openKeyring(options: KeyringOptions, patienceMs: number): Promise<Keyring> {
  const keyring = new FetchedKeyring(options);
  const deadline = performance.now() + patienceMs;
  for (;;) {
    try {
      await keyring.refresh();
      return keyring;
    } catch (error) {
      if (error instanceof ConfigurationError) throw error;
      if (performance.now() > deadline) {
        options.log.warn(
          "the keyring cannot be fetched yet: secrets are sealed under the salt or master key until then",
          {
            error: errorText(error),
          },
        );
        void keyring.keepTrying();
        return keyring;
      }
      await sleep(firstRetryMs);
    }
  }
}

const firstRetryMs = 250;
const usualRetryMs = 2000;
/** Something that nobody can open must not make every call a question. */
const askAgainMs = 1000;

class FetchedKeyring implements Keyring {
  readonly #options: KeyringOptions;
  readonly #given: readonly KeyedSealer[];
  readonly #fetched = new Map<string, { readonly sealer: KeyedSealer; readonly key: Secret }>();
  readonly #listeners: (() => void)[] = [];
  #current: string | undefined;
  #running: Promise<void> | undefined;
  #askedAt = Number.NEGATIVE_INFINITY;

  constructor(options: KeyringOptions) {
    this.#options = options;
    this.#given = givenSealers(options.given);
  }

  get isOpen(): boolean {
    return this.#current !== undefined;
  }

  seal(plain: Secret): Uint8Array {
    const sealer = this.#known()?.sealer ?? this.#given[0];
    if (sealer === undefined) throw unavailable("There is no key to seal with yet.");
    return sealer.seal(plain);
  }

  open(sealed: Uint8Array): Secret {
    const id = keyIdOf(sealed);
    const all = [...[...this.#fetched.values()].map(({ sealer }) => sealer), ...this.#given];
    for (const sealer of id === undefined ? all : all.filter(({ keyId }) => keyId === id)) {
      try {
        return sealer.open(sealed);
      } catch {
        // One that does not name its key may be of the next.
      }
    }
    this.#ask();
    throw unavailable("What is sealed cannot be opened here at the moment: its key is not known.");
  }

  wrap(under: Secret) {
    const known = this.#known();
    if (known === undefined) throw unavailable("The keyring is not open yet.");
    const sealer = createSealer(under);
    return { id: sealer.keyId, wrapped: sealer.seal(known.key) };
  }

  refresh(): Promise<void> {
    this.#running ??= this.#fetch().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** Tries again and again until there is a key-encryption key, or the signal ends it. Never rejects. */
  async keepTrying(): Promise<void> {
    const { signal, retryMs = usualRetryMs, log } = this.#options;
    while (!this.isOpen && !signal.aborted) {
      await sleep(retryMs, undefined, { signal, ref: false }).catch(() => undefined);
      if (signal.aborted) return;
      await this.refresh().catch((error: unknown) => {
        if (error instanceof ConfigurationError) log.error(error.message);
      });
    }
  }

  #known() {
    return this.#current === undefined ? undefined : this.#fetched.get(this.#current);
  }

  #ask(): void {
    const now = performance.now();
    if (this.#options.signal.aborted || now - this.#askedAt < askAgainMs) return;
    this.#askedAt = now;
    this.refresh().catch((error: unknown) => {
      this.#options.log.warn("the keyring cannot be fetched", { error: errorText(error) });
    });
  }

  async #fetch(): Promise<void> {
    const unwrapped = unwrap(await this.#options.load(), this.#options.given);
    if (unwrapped === undefined) throw unavailable("There is no keyring yet.");
    const sealer = createSealer(unwrapped.key);
    if (sealer.keyId === this.#current) return;
    const isFirst = this.#current === undefined;
    this.#fetched.set(sealer.keyId, { sealer, key: unwrapped.key });
    this.#current = sealer.keyId;
    if (!isFirst) this.#options.log.warn("secrets are sealed under another key-encryption key now");
    for (const listener of this.#listeners) listener();
  }
}

function unavailable(message: string) {
  return gatewayError(Reason.UNAVAILABLE, message, { retryAfterMs: 1000 });
}
