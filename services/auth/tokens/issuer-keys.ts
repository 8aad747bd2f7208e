import { createLocalJWKSet, type LocalJWKSet } from "jose";
import { fetchJson } from "./fetch-json.ts";
import type { KeyAddress } from "./settings.ts";

const limits = { timeoutMs: 2_000, maxBytes: 1024 * 1024 };
/** A key that nobody knows is asked for at most this often, whoever presents it. */
const unknownKeyMs = 60_000;
/** While an issuer does not answer it is asked at most this often: without keys, and with old ones. */
const retryMs = 5_000;
const staleRetryMs = 30_000;

export interface LoadedKeys {
  readonly find: LocalJWKSet;
  /** Whose keys they are; undefined where nobody says. */
  readonly issuer: string | undefined;
}

export interface IssuerKeysOptions {
  readonly address: KeyAddress;
  readonly ttlMs: number;
  /** How much longer keys stay good that could not be asked for again. */
  readonly staleMs: number;
  readonly clock: () => number;
  /** Told whenever the issuer does not answer with keys. */
  readonly unanswered: (url: string, error: unknown) => void;
}

/**
 * The public keys of an issuer, in memory: asked for once their time is over, and used on for a while where the issuer
 * does not answer. Whoever comes while a question runs waits for its answer.
 */
export class IssuerKeys {
  readonly #options: IssuerKeysOptions;
  #keys: LoadedKeys | undefined;
  #fetchedAt = Number.NEGATIVE_INFINITY;
  #askedAt = Number.NEGATIVE_INFINITY;
  #asking: Promise<void> | undefined;
  /** The JWKS that the discovery document has named. */
  #jwks: { readonly url: string; readonly issuer: string | undefined } | undefined;

  constructor(options: IssuerKeysOptions) {
    this.#options = options;
  }

  /** Whose tokens are to be checked here; undefined where nobody has said yet. */
  get issuer(): string | undefined {
    return this.#options.address.issuer ?? this.#keys?.issuer;
  }

  /** The keys; undefined where there are none and the issuer does not answer. */
  async get(): Promise<LoadedKeys | undefined> {
    const isOld = this.#since(this.#fetchedAt) >= this.#options.ttlMs;
    const pause = this.#keys === undefined ? retryMs : staleRetryMs;
    if (isOld && (this.#asking !== undefined || this.#since(this.#askedAt) >= pause)) await this.#ask();
    return this.#since(this.#fetchedAt) < this.#options.ttlMs + this.#options.staleMs ? this.#keys : undefined;
  }

  /** The keys anew, for a token whose key is not among them; undefined where it is too early to ask. */
  async getAnew(): Promise<LoadedKeys | undefined> {
    if (this.#asking === undefined && this.#since(this.#askedAt) < unknownKeyMs) return undefined;
    const before = this.#keys;
    await this.#ask();
    return this.#keys === before ? undefined : this.#keys;
  }

  /** A clock that was set back makes everything old. */
  #since(moment: number): number {
    const age = this.#options.clock() - moment;
    return age < 0 ? Number.POSITIVE_INFINITY : age;
  }

  async #ask(): Promise<void> {
    this.#asking ??= this.#load().finally(() => {
      this.#asking = undefined;
    });
    await this.#asking;
  }

  async #load(): Promise<void> {
    this.#askedAt = this.#options.clock();
    try {
      const known = this.#jwks;
      this.#keys = known === undefined ? await this.#discover() : await loadJwks(known.url, known.issuer);
      this.#fetchedAt = this.#options.clock();
    } catch (error) {
      // The next question asks the document too: the keys may have moved.
      this.#jwks = undefined;
      this.#options.unanswered(this.#options.address.url, error);
    }
  }

  /** Reads what the address holds: keys, or a discovery document, and then its keys. */
  async #discover(): Promise<LoadedKeys> {
    const { url, issuer } = this.#options.address;
    const { status, body } = await fetchJson(url, limits);
    if (status !== 200 || body === undefined) throw new Error(`${status}, no JSON object`);
    const { jwks_uri: jwksUri, issuer: named } = body;
    if (typeof jwksUri !== "string") return { find: readJwks(body), issuer };
    // https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfigurationValidation
    if (typeof named !== "string") throw new Error("the discovery document names no issuer");
    if (issuer !== undefined && named !== issuer) throw new Error("the discovery document is of another issuer");
    const target = URL.parse(jwksUri);
    if (target?.protocol !== "https:" && target?.protocol !== new URL(url).protocol) {
      throw new Error("the discovery document names no https:// address for its keys");
    }
    const keys = await loadJwks(jwksUri, named);
    this.#jwks = { url: jwksUri, issuer: named };
    return keys;
  }
}

async function loadJwks(url: string, issuer: string | undefined): Promise<LoadedKeys> {
  const { status, body } = await fetchJson(url, limits);
  if (status !== 200 || body === undefined) throw new Error(`the keys: ${status}, no JSON object`);
  return { find: readJwks(body), issuer };
}

/** @throws where it is no set of keys, https://www.rfc-editor.org/rfc/rfc7517#section-5 */
function readJwks({ keys }: Readonly<Record<string, unknown>>): LocalJWKSet {
  if (!Array.isArray(keys)) throw new Error("no set of keys");
  return createLocalJWKSet({ keys });
}
